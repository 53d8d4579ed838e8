-- Text without white space at both ends, the wide, the invisible and the byte order mark included.
-- parameter value: as written
if(
    value[1] between '!' and '~' and value[-1] between '!' and '~', -- most values: nothing to trim
    value,
    trim(
        value,
        ' ' || chr(9) || chr(10) || chr(11) || chr(12) || chr(13) || chr(133) || chr(160) || chr(8203) || chr(8232)
            || chr(8233) || chr(12288) || chr(65279)
    )
)
