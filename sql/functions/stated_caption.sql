-- A caption or prompt as written; NULL if it is blank or exactly what a program writes for a missing value.
-- Real captions may be words such as "none" and "Null", so only these count: `nan`, `NaN`, `None`, `<NA>`, `null`, `\N`.
-- parameter caption: as written
case
    when strlen(caption) > 40 and caption[1] between '!' and '~' then caption -- longer than each of them, and not blank
    when list_contains(['', 'nan', 'NaN', 'None', '<NA>', 'null', '\N'], blanks_trimmed(caption)) then null
    else caption
end
