-- Changes where a provider is and which addresses it may have; null leaves what is. Nothing when there is no such provider.
UPDATE providers
   SET base_url = coalesce($2::text, base_url),
       allow_private_addresses = coalesce($3::boolean, allow_private_addresses)
 WHERE name = $1
RETURNING base_url, allow_private_addresses
