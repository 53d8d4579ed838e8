-- One row per band of duplicate counts, the steps in which every report counts copies.
-- unique: band
-- not_null: band, first, last
-- column band: the counts in words, such as `1` or `5-9`
-- column first: least number of training rows that show a picture of the band
-- column last: greatest

select *
from (
    values
    ('1', 1, 1), ('2', 2, 2), ('3-4', 3, 4), ('5-9', 5, 9), ('10-19', 10, 19), ('20-49', 20, 49),
    ('50-99', 50, 99), ('100-199', 100, 199), ('200-999', 200, 999), ('1000+', 1000, 9223372036854775807)
) as bands (band, first, last)
