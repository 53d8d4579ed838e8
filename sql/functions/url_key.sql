-- A URL without its scheme, its host in lower case, the rest as written: the least that two spellings of it share.
-- parameter url: as written
lower(regexp_extract(url_schemeless(url), '^[^/?#]*')) || regexp_extract(url_schemeless(url), '^[^/?#]*(.*)$', 1, 's')
