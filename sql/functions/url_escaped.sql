-- Path and query with one spelling of percent-escapes, without the fragment: those of letters, digits and -._~ are
-- decoded, the others in upper case, and what is no visible ASCII is escaped.
-- parameter rest: what follows host and port
array_to_string(
    list_transform(
        string_split(
            array_to_string(
                list_transform(
                    regexp_extract_all(regexp_extract(rest, '^[^#]*', 0, 's'), '[!-~]+|[^!-~]+'),
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
)
