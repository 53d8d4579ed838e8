-- A row per training row of whose picture something is said that `policies.honour` honours, with the first of these, in
-- the order of the setting.
-- $signals: the statements that are honoured: plus, c2pa, headers
select sample_id, list_filter($signals, lambda signal: list_contains(reserved_by, signal))[1] as kind, reason as value
from catalog.rights
where list_has_any(reserved_by, $signals)
