-- A URL without white space and control characters at both ends.
-- parameter url: as written
regexp_replace(url, '^[\s\p{Z}\p{Cc}]+|[\s\p{Z}\p{Cc}]+$', '', 'g')
