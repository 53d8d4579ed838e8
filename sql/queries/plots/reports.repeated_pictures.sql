-- The 20 most repeated pictures: a caption and the count of copies.
select coalesce(captions[1], 'no caption'), duplicate_count
from reports.repeated_pictures limit 20
