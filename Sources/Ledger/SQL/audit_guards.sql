-- Partitions of the ledger without the triggers that keep ended rows as they are, and the parent without that which closes time.
SELECT p.relid::regclass::text, needed.name
  FROM pg_partition_tree('billing_transactions') p
 CROSS JOIN (VALUES ('terminal_rows_stay'), ('rows_stay'), ('table_stays'), ('closed_time_stays_closed')) AS needed(name)
  LEFT JOIN pg_trigger g ON g.tgrelid = p.relid AND g.tgname = needed.name AND g.tgenabled IN ('O', 'A')
 WHERE g.oid IS NULL AND (p.isleaf <> (needed.name = 'closed_time_stays_closed'))
 ORDER BY 1, 2
