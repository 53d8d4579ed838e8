-- A caption or prompt as written; NULL if it is blank or exactly what a program writes for a missing value.
-- Real captions may be words such as "none" and "Null", so only these count: `nan`, `NaN`, `None`, `<NA>`, `null`, `\N`.
-- parameter caption: as written
if(blanks_trimmed(caption) in ('', 'nan', 'NaN', 'None', '<NA>', 'null', '\N'), null, caption)
