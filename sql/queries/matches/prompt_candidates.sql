-- The candidates of generations by prompt: generation_id, sample_id, method, score.
-- A picture counts once for a prompt, by the strongest method, as the lowest of its rows with such a caption.
-- Of each prompt and method at most getvariable('most') pictures: the closest, then those of most such rows.
with placed as (
    select
        matched.*,
        list_position(['prompt', 'prompt_normalised', 'prompt_semantic'], matched.method) as strength,
        coalesce(members.representative_id, matched.sample_id) as cluster_id
    from matched
    semi join usable using (sample_id)
    left join members using (sample_id)
),
clusters as (
    select
        prompt_key, cluster_id, method, strength,
        max(score) as score, count(*) as times, min(sample_id) as sample_id
    from placed
    group by prompt_key, cluster_id, method, strength
    qualify row_number() over (partition by prompt_key, cluster_id order by strength) = 1
),
best as (
    select *
    from clusters
    qualify row_number() over (
        partition by prompt_key, method order by score desc, times desc, sample_id
    ) <= getvariable('most')
)
select generations.generation_id, best.sample_id, best.method, best.score
from generations
join best on best.prompt_key = sha256(generations.prompt)
order by generations.generation_id, best.strength, best.sample_id
