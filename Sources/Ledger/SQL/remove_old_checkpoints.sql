-- Removes checkpoints that nobody can need any more.
DELETE FROM stream_checkpoints WHERE at < now() - interval '1 day'
