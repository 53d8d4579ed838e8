-- A URL as it is compared with others; `duplicates.url_keys` says what is dropped.
-- parameter url: as written
url_address(url) || case when url_query(url) = '' then '' else '?' || url_query(url) end
