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
-- column headers: what the server said of it, as the downloader noted it
-- column reserved: whether its use to train a model is reserved: data_mining prohibits, c2pa_mining does not allow, or headers forbid
-- column reserved_by: by which of them: plus, c2pa, headers
-- column reason: the same in words
-- column stated_in: where the above was found: XMP, IPTC, EXIF, PNG, C2PA
-- column unread: metadata of the file that could not be read, and why; what they say is unknown

with stated as (
    select
        rights.*,
        samples.dataset,
        null::varchar as headers,
        coalesce(contains(upper(rights.data_mining), 'DMI-PROHIBITED'), false) as by_plus,
        coalesce(
            regexp_matches(
                rights.c2pa_mining, '(ai_training|ai_generative_training|data_mining)=(notAllowed|constrained)'
            ),
            false
        ) as by_c2pa,
        false as by_headers
    from lance_picture_rights as rights
    join catalog.samples using (sample_id)
    -- two dumps may show one row: what is said is said by the file that is fingerprinted
    join lance_image_fingerprints as prints
        on prints.sample_id = rights.sample_id and prints.shard_id = rights.shard_id
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
    stated_in,
    unread
from stated
