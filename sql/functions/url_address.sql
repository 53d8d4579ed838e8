-- A URL up to its query: host, port where it is unusual, and path without slashes at its end. Text without a host is
-- only trimmed.
-- parameter url: as written
case
    when url_host(url) is null then url_trimmed(url)
    else url_host(url)
        || case when url_parts(url).port in ('', '80', '443') then '' else ':' || url_parts(url).port end
        || regexp_replace(regexp_extract(url_escaped(url_parts(url).rest), '^[^?]*'), '/+$', '')
end
