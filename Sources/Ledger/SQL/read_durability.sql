-- Whether a COMMIT waits until it is on disk.
SELECT current_setting('synchronous_commit')
