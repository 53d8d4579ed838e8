-- One row per verdict: the generations with it, and how many of these answers are inconclusive.
select verdict, count(*) as generations, count(*) filter (where not conclusive) as inconclusive
from provenance.generations
group by verdict
