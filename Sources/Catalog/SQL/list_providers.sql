-- Every provider with the names of its models, one a line; nothing of its credential.
SELECT p.name, p.base_url, p.allow_private_addresses,
       array_to_string(array(
           SELECT DISTINCT m.model FROM provider_models m WHERE m.provider = p.name ORDER BY m.model), chr(10)),
       to_char(p.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
  FROM providers p
 ORDER BY p.name
