-- Host, port and rest of a URL of http or https, as a struct; all parts of any other text are empty.
-- parameter url: as written
regexp_extract(
    case
        when regexp_matches(url_trimmed(url), '^[^/?#:@\s]+\.[^/?#:@\s.]+\.?(:[0-9]*)?([/?#]|$)')
            then '//' || url_trimmed(url)
        else url_trimmed(url)
    end,
    '^(?i:https?:)?//(?:[^/?#]*@)?(\[[^\]/?#]*\]|[^/?#:]+)(?::([0-9]*))?([/?#].*)?$',
    ['host', 'port', 'rest'],
    's'
)
