-- A text of anybody in one line of at most 2,000 characters, without the characters that hide or reorder text or act on a
-- terminal; NULL where nothing is left. `transforms/readable.py` does the same for what files say.
-- parameter value: text
nullif(
    left(
        trim(
            regexp_replace(
                regexp_replace(
                    value,
                    '[\x{0}-\x{8}\x{b}\x{c}\x{e}-\x{1f}\x{7f}-\x{9f}\x{61c}\x{200b}\x{200e}\x{200f}\x{2028}-\x{202e}\x{2060}-\x{2069}\x{feff}]',
                    '',
                    'g'
                ),
                '\s+',
                ' ',
                'g'
            )
        ),
        2000
    ),
    ''
)
