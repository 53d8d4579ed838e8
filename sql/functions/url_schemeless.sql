-- A URL without the scheme http or https.
-- parameter url: as written
regexp_replace(url_trimmed(url), '^https?://', '', 'i')
