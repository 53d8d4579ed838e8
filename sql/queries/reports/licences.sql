-- One row per licence and host of likely sources, those with the most copies first, at most $most.
select license, host, generations, generations - similar_generations as copies, pictures, rows,
    recalled_rows
from provenance.licenses
order by copies desc, generations desc, license, host
limit $most
