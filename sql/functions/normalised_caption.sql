-- A caption as it is compared with others; `duplicates.caption_keys` says what is dropped. NULL if no character is visible:
-- `duplicates.caption_keys` leaves out the same rows. nfc_normalize stops at U+0000, so a space takes its place.
-- parameter caption: as written
case
    -- most captions are ASCII, which has nothing to compose and nothing invisible
    when strlen(caption) = length(caption) and regexp_matches(caption, '[A-Za-z0-9]')
        then trim(regexp_replace(lower(caption), '[^a-z0-9]+', ' ', 'g'))
    when regexp_matches(nfc_normalize(replace(caption, chr(0), ' ')), '[\p{L}\p{M}\p{N}]')
        then trim(
            regexp_replace(
                regexp_replace(lower(nfc_normalize(replace(caption, chr(0), ' '))), '\p{Cf}+', '', 'g'), '[^\p{L}\p{M}\p{N}]+', ' ', 'g'
            )
        )
    when regexp_matches(caption, '[^\s\p{Z}\p{Cc}\p{Cf}]')
        then trim(
            regexp_replace(
                regexp_replace(lower(nfc_normalize(replace(caption, chr(0), ' '))), '\p{Cf}+', '', 'g'), '[\s\p{Z}\p{Cc}]+', ' ', 'g'
            )
        )
end
