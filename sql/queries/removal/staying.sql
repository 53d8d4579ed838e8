-- One row per row of dataset ? that stays and has a URL.
select url, caption, uid, sample_id
from catalog.samples anti join leaving using (sample_id)
where dataset = ? and url is not null
