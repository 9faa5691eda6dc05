-- Makes the partitions of this month and the three after it.
SELECT make_billing_partitions(3)
