-- The query of a URL: its parameters sorted, without empty ones and those of trackers.
-- parameter url: as written
array_to_string(
    list_sort(
        list_filter(
            string_split(regexp_extract(url_escaped(url_parts(url).rest), '\?(.*)$', 1), '&'),
            lambda parameter: parameter <> '' and not regexp_matches(
                parameter,
                '^(?i:utm_[^=]*|fbclid|[gd]clid|[gw]braid|msclkid|yclid|igshid|mc_[ce]id)(=|$)'
            )
        )
    ),
    '&'
)
