-- What a column states, without white space at both ends; NULL where it only says that something is missing.
-- Blanks and `?`, `-`, `nan`, `None`, `<NA>`, `null`, `N/A`, `NA`, `nil`, `undefined`, `unknown`, `\N` and their like in
-- any case state nothing; `na` does, because it is a language. Captions are read by `stated_caption`.
-- parameter value: text, or a value of another plain type
case
    when strlen(blanks_trimmed(value::varchar)) > 9 then blanks_trimmed(value::varchar) -- longer than each of them
    when blanks_trimmed(value::varchar) = 'NA' then null
    -- not IN, which becomes a join that every row takes part in
    when list_contains(
        ['', '?', '-', 'nan', '-nan', 'nat', 'none', '<na>', 'null', '(null)', '[null]', '<null>', '<none>', 'nil', 'n/a',
        '<n/a>', '#n/a', '#na', 'n.a.', 'undefined', '\n', 'unknown', '1.#qnan', '-1.#ind'],
        lower(blanks_trimmed(value::varchar))
    ) then null
    else blanks_trimmed(value::varchar)
end
