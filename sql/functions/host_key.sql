-- The host that an opt-out list names, in lower case, whether it is written as a host, `*.host` or a URL.
-- parameter host: as written
lower(regexp_extract(url_schemeless(host), '^(?:[^/?#@]*@)?(?:\*?\.)?([^/:?#]*?)\.?(?:[/:?#].*)?$', 1, 's'))
