-- One row: training rows that the datasets' own classifiers flag as unsafe.
select count(*) filter (where unsafe) as rows
from catalog.samples
