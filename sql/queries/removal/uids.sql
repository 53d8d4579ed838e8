-- One row per row of dataset ? that stays: the halves of its uid, in the order of the digits. A recalled row's uid goes
-- even if a row that stays has the same uid.
select ('0x' || uid[1:16])::ubigint as high, ('0x' || uid[17:32])::ubigint as low
from catalog.samples anti join leaving using (sample_id)
anti join (select lower(uid) as recalled_uid from catalog.samples where recalled) as recalled
    on recalled_uid = lower(uid)
where dataset = ?
order by high, low
