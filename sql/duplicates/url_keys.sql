-- One row per training row with a URL: the URL as it is compared with others. Recalled rows are left out.
-- Normalised means that these are dropped: white space and control characters at both ends, the scheme http or
-- https (or none before a host with a dot), user and password, `www.`, the port 80 or 443 or an empty one, a dot after the
-- host, slashes at the end of the path, and the fragment. The host is in lower case; of the query, empty parameters and
-- those of trackers (utm_*, fbclid, gclid, dclid, gbraid, wbraid, msclkid, yclid, igshid, mc_cid, mc_eid) are dropped and
-- the others sorted; percent-escapes of letters, digits and -._~ are decoded, the others in upper case, and what is no
-- visible ASCII is escaped. Path and query keep their case. A host in Unicode and its punycode stay two, and so do /a/../b
-- and /b. URLs of other schemes and texts without a host are compared as they are, trimmed; blanks alone are no URL.
-- as: view
-- unique: sample_id
-- not_null: sample_id, url, normalised_url
-- column url: as written
-- column url_host: the host of the normalised URL, without `www.` and port; NULL where there is none
-- column normalised_url: the URL without what is dropped

with written as (
    select sample_id, url, regexp_replace(url, '^[\s\p{Z}\p{Cc}]+|[\s\p{Z}\p{Cc}]+$', '', 'g') as trimmed
    from catalog.samples
    where url is not null and not recalled
),

-- what is no address of http keeps its text: its parts below are empty
parted as (
    select
        sample_id,
        url,
        trimmed,
        regexp_extract(
            case
                when regexp_matches(trimmed, '^[^/?#:@\s]+\.[^/?#:@\s.]+\.?(:[0-9]*)?([/?#]|$)') then '//' || trimmed
                else trimmed
            end,
            '^(?i:https?:)?//(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^/?#:]+)(?::([0-9]*))?([/?#].*)?$',
            ['host', 'port', 'rest'],
            's'
        ) as parts
    from written
    where trimmed <> ''
),

escaped as (
    select
        sample_id,
        url,
        trimmed,
        nullif(regexp_replace(regexp_replace(lower(parts.host), '\.$', ''), '^www\.(.+\..+)$', '\1'), '') as url_host,
        case when parts.port in ('', '80', '443') then '' else ':' || parts.port end as port,
        array_to_string(
            list_transform(
                string_split(
                    array_to_string(
                        list_transform(
                            regexp_extract_all(regexp_extract(parts.rest, '^[^#]*', 0, 's'), '[!-~]+|[^!-~]+'),
                            lambda piece: case when piece[1] between '!' and '~' then piece else url_encode(piece) end
                        ),
                        ''
                    ),
                    '%'
                ),
                lambda piece, place: case
                    when place = 1 then piece
                    when regexp_matches(piece, '^(?i:4[1-9A-F]|5[0-9AF]|6[1-9A-F]|7[0-9AE]|3[0-9]|2[DE])')
                        then chr(('0x' || piece[1:2])::integer) || piece[3:]
                    when regexp_matches(piece, '^[0-9a-fA-F]{2}') then '%' || upper(piece[1:2]) || piece[3:]
                    else '%' || piece
                end
            ),
            ''
        ) as rest
    from parted
),

spelled as (
    select
        sample_id,
        url,
        url_host,
        case
            when url_host is null then trimmed
            else url_host || port || regexp_replace(regexp_extract(rest, '^[^?]*'), '/+$', '')
        end as address,
        array_to_string(
            list_sort(
                list_filter(
                    string_split(regexp_extract(rest, '\?(.*)$', 1), '&'),
                    lambda parameter: parameter <> '' and not regexp_matches(
                        parameter,
                        '^(?i:utm_[^=]*|fbclid|[gd]clid|[gw]braid|msclkid|yclid|igshid|mc_[ce]id)(=|$)'
                    )
                )
            ),
            '&'
        ) as query
    from escaped
)

select sample_id, url, url_host, address || case when query = '' then '' else '?' || query end as normalised_url
from spelled
