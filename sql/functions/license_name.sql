-- The short name of a licence that is stated by its Creative Commons address, such as `cc-by-nc-2.0`, `cc0-1.0` or
-- `cc-pdm-1.0`, the same whatever language its page is in; any other statement as it is.
-- parameter value: as stated
case
    when value is null or not regexp_matches(value, '^(https?:)?//(www\.)?creativecommons\.org/', 'i') then value
    when regexp_matches(value, '/licenses/[a-z+-]+/\d+(\.\d+)*', 'i') then
        'cc-' || lower(regexp_extract(value, '/licenses/([a-z+-]+)/(\d+(?:\.\d+)*)', 1, 'i')) || '-'
        || regexp_extract(value, '/licenses/([a-z+-]+)/(\d+(?:\.\d+)*)', 2, 'i')
        -- the country of a licence that was ported to its law
        || coalesce(
            '-' || nullif(lower(regexp_extract(value, '/licenses/[a-z+-]+/[\d.]+/([a-z]{2}|igo)(/|$)', 1, 'i')), ''), ''
        )
    when regexp_matches(value, '/publicdomain/zero/\d', 'i') then
        'cc0-' || regexp_extract(value, '/zero/(\d+(?:\.\d+)*)', 1, 'i')
    when regexp_matches(value, '/publicdomain/mark/\d', 'i') then
        'cc-pdm-' || regexp_extract(value, '/mark/(\d+(?:\.\d+)*)', 1, 'i')
    else value
end
