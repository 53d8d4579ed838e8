-- One row per row of the sheet repeated_pictures that shows its picture: the first $most rows, in the table's order.
select representative_id, unsafe
from reports.repeated_pictures
limit $most
