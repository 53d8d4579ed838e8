-- How much a stated licence allows, 1 the most: public domain, CC BY, CC BY-SA, other CC licences, other statements, and
-- none. A statement is a claim of whoever wrote the metadata.
-- parameter value: the licence as catalog.samples has it
case
    when value is null or trim(value) = '' or lower(trim(value)) in ('unknown', 'none', '?') then 6
    when regexp_matches(lower(value), '^(cc-?0|cc-pdm|pdm|pd$|pd[ -]|public ?domain)') then 1
    when regexp_matches(lower(value), '^cc[ -]by([ -]\d|$)') then 2
    when regexp_matches(lower(value), '^cc[ -]by-sa') then 3
    when regexp_matches(lower(value), '^cc[ -]') then 4
    else 5
end
