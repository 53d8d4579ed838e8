-- Rows whose caption is one of `prompts`: prompt_key, sample_id, shard_id, method.
-- Texts themselves are compared, not digests: nobody can make two captions share one.
with equal as (
    select prompts.prompt_key, keys.sample_id
    from duplicates.caption_keys as keys
    join prompts using (normalised)
),
same as (
    select prompts.prompt_key, samples.sample_id
    from catalog.samples as samples
    join prompts on prompts.prompt = samples.caption
)
select
    equal.prompt_key,
    equal.sample_id,
    (equal.sample_id // 67108864)::bigint as shard_id,
    if(same.sample_id is null, 'prompt_normalised', 'prompt') as method
from equal
left join same using (prompt_key, sample_id)
