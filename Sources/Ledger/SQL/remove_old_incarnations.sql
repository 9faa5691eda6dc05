-- Removes lives of Redis that nobody has met for so many days.
SELECT forget_redis_incarnations($1::integer)
