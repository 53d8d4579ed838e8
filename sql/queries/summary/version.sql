-- The number and time of the published version, as text.
select '#' || max(version) || ', ' || strftime(max(published_at), '%Y-%m-%d %H:%M UTC')
from warehouse.versions
