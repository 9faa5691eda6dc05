-- Gives a process's lease up: all it owned is settled.
DELETE FROM owners WHERE owner = $1
