-- One row per training row of whose picture something is said: who made it, and on what terms it may be used.
-- What is said is a claim: nobody checked who wrote it. A picture without a row says nothing, which is not to say that
-- it is free.
-- grain: shard
-- unique: sample_id
-- not_null: sample_id, dataset, reserved
-- assert: c2pa is null or c2pa in ('valid', 'untrusted', 'broken', 'present', 'remote')
-- assert: reserved = (reserved_by is not null) and reserved = (reason is not null)
-- column sample_id: the training row
-- column dataset: its dataset
-- column creator: who made it, several with `; ` between them; this and all other texts as the file writes them, of bounded length and without control characters
-- column credit: whom to credit
-- column notice: copyright notice
-- column terms: terms of use, in words
-- column constraints: constraints that a value of data_mining refers to (`plus:OtherConstraints`)
-- column license_url: address of the licence, or of whoever grants one; never opened
-- column web_statement: address of a page on rights; never opened
-- column data_mining: the value of `plus:DataMining`, as written
-- column digital_source_type: how the picture came to be, as IPTC's term is written: a capture, an algorithm, a composite
-- column c2pa: its C2PA manifest: valid (a trusted signer), untrusted (signed by an unknown), broken (the signature does not hold), present (not verified), remote (a link, never opened)
-- column c2pa_place: where the manifest lies in the file, or the link to it
-- column c2pa_mining: what the manifest says of training and mining, such as `cawg.ai_training=notAllowed`
-- column headers: what the server said of it, as the downloader noted it: X-Robots-Tag, Content-Usage, tdm-reservation
-- column reserved: whether its use to train a model is reserved: data_mining prohibits, c2pa_mining does not allow, or headers forbid
-- column reserved_by: by which of them: plus, c2pa, headers
-- column reason: the same in words
-- column stated_in: where the above was found: XMP, IPTC, EXIF, PNG, GIF, C2PA in the file; sidecar (the EXIF that the dump notes beside it), metadata (its column `exif`), headers
-- column unread: metadata of the file that could not be read, and why; what they say is unknown

with noted as (
    select
        (shards.shard_id * 67108864 + rows.file_row_number)::ubigint as sample_id,
        if(json_valid(rows.exif), bare_text(json_extract_string(rows.exif, '$."Image Artist"')), null) as artist,
        if(json_valid(rows.exif), bare_text(json_extract_string(rows.exif, '$."Image Copyright"')), null) as copyright,
        bare_text(coalesce(stated(rows.x_robots_tag), stated(rows."x-robots-tag"))) as robots,
        bare_text(coalesce(stated(rows.content_usage), stated(rows."content-usage"))) as usage,
        bare_text(coalesce(stated(rows.tdm_reservation), stated(rows."tdm-reservation"))) as reservation
    from landing_metadata as rows
    join lance_landing_shards as shards on shards.readable_path = rows.landing_path
    where
        contains(rows.exif, '"Image Artist"')
        or contains(rows.exif, '"Image Copyright"')
        or coalesce(rows.x_robots_tag, rows."x-robots-tag", rows.content_usage, rows."content-usage") is not null
        or coalesce(rows.tdm_reservation, rows."tdm-reservation") is not null
),

-- a downloader that obeys a header notes it in place of a picture
refused as (
    select sample_id, 'disallowed its use (noai), and nothing was downloaded' as robots
    from lance_image_fingerprints
    where contains(failure, 'X-Robots-Tag')
),

-- two dumps may show one row: what is said is said by the file that is fingerprinted
of_file as (
    select rights.*
    from lance_picture_rights as rights
    join lance_image_fingerprints as prints
        on prints.sample_id = rights.sample_id and prints.shard_id = rights.shard_id
),

gathered as (
    select
        coalesce(of_file.sample_id, noted.sample_id, refused.sample_id) as sample_id,
        coalesce(of_file.creator, noted.artist) as creator,
        of_file.credit,
        coalesce(of_file.notice, noted.copyright) as notice,
        of_file.terms,
        of_file.constraints,
        of_file.license_url,
        of_file.web_statement,
        of_file.data_mining,
        of_file.digital_source_type,
        of_file.c2pa,
        of_file.c2pa_place,
        of_file.c2pa_mining,
        coalesce(noted.robots, refused.robots) as robots,
        noted.usage,
        noted.reservation,
        coalesce(noted.artist, noted.copyright) is not null as by_metadata,
        of_file.stated_in,
        of_file.unread,
        of_file.sample_id is not null as by_file
    from of_file
    full join noted on noted.sample_id = of_file.sample_id
    full join refused on refused.sample_id = coalesce(of_file.sample_id, noted.sample_id)
),

said as (
    select
        gathered.*,
        samples.dataset,
        nullif(
            concat_ws(
                '; ',
                'X-Robots-Tag: ' || robots,
                'Content-Usage: ' || usage,
                'tdm-reservation: ' || reservation
            ),
            ''
        ) as headers,
        coalesce(contains(upper(data_mining), 'DMI-PROHIBITED'), false) as by_plus,
        coalesce(
            regexp_matches(c2pa_mining, '(ai_training|ai_generative_training|data_mining)=(notAllowed|constrained)'),
            false
        ) as by_c2pa,
        headers_reserve(robots, usage, reservation) as by_headers
    from gathered
    join catalog.samples on samples.sample_id = gathered.sample_id
)

select
    sample_id,
    dataset,
    creator,
    credit,
    notice,
    terms,
    constraints,
    license_url,
    web_statement,
    data_mining,
    digital_source_type,
    c2pa,
    c2pa_place,
    c2pa_mining,
    headers,
    by_plus or by_c2pa or by_headers as reserved,
    case
        when by_plus or by_c2pa or by_headers then
            string_split(
                concat_ws(',', if(by_plus, 'plus', null), if(by_c2pa, 'c2pa', null), if(by_headers, 'headers', null)),
                ','
            )
    end as reserved_by,
    case
        when by_plus or by_c2pa or by_headers then
            concat_ws(
                '; ',
                if(by_plus, 'plus:DataMining is ' || data_mining, null),
                if(by_c2pa, 'its C2PA manifest says ' || c2pa_mining, null),
                if(by_headers, 'the server said ' || headers, null)
            )
    end as reason,
    list_concat(
        coalesce(stated_in, []),
        list_concat(if(by_metadata, ['metadata'], []), if(headers is not null, ['headers'], []))
    ) as stated_in,
    unread
from said
where by_file or by_metadata or headers is not null
