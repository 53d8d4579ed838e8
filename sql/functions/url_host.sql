-- The host of a URL in lower case, without `www.` and port; NULL where there is none.
-- parameter url: as written
nullif(regexp_replace(regexp_replace(lower(url_parts(url).host), '\.$', ''), '^www\.(.+\..+)$', '\1'), '')
