-- Whether headers of an answer reserve what it holds from training: `noai` or `noimageai` of X-Robots-Tag, a use of AI
-- with `n` in Content-Usage, or 1 in tdm-reservation. Never NULL.
-- parameter robots: value of X-Robots-Tag
-- parameter usage: value of Content-Usage
-- parameter reservation: value of tdm-reservation
coalesce(regexp_matches(robots, '(^|[^a-z])(noai|noimageai)([^a-z]|$)', 'i'), false)
or coalesce(regexp_matches(usage, '(^|[^a-z-])(ai|genai|tdm|train-ai|train-genai)\s*=\s*"?n"?([^a-z]|$)', 'i'), false)
or coalesce(trim(reservation) = '1', false)
