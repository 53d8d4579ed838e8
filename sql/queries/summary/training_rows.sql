-- The count of training rows, as text.
select format('{:,}', count(*)) from catalog.samples
