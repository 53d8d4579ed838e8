-- The URLs of entries in the shape of catalog.samples, so that duplicates.url_keys normalises them too.
select entry as sample_id, value as url, false as recalled from entries where kind = 'url'
