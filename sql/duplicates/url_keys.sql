-- One row per training row with a URL: the URL as it is compared with others. Recalled rows are left out.
-- Normalised means that these are dropped: white space and control characters at both ends, the scheme http or
-- https (or none before a host with a dot), user and password, `www.`, the port 80 or 443 or an empty one, a dot after the
-- host, slashes at the end of the path, and the fragment. The host is in lower case; of the query, empty parameters and
-- those of trackers (utm_*, fbclid, gclid, dclid, gbraid, wbraid, msclkid, yclid, igshid, mc_cid, mc_eid) are dropped and
-- the others sorted; percent-escapes of letters, digits and -._~ are decoded, the others in upper case, and what is no
-- visible ASCII is escaped. Path and query keep their case. A host in Unicode and its punycode stay two, and so do /a/../b
-- and /b. URLs of other schemes and texts without a host are compared as they are, trimmed; blanks alone are no URL.
-- as: view
-- grain: shard
-- unique: sample_id
-- not_null: sample_id, url
-- column sample_id: the training row
-- column url: as written
-- column url_host: the host of the normalised URL, without `www.` and port; NULL where there is none
-- column normalised_url: the URL without what is dropped

select sample_id, url, url_host(url) as url_host, normalised_url(url) as normalised_url
from catalog.samples
where not recalled and regexp_matches(url, '[^\s\p{Z}\p{Cc}]')
