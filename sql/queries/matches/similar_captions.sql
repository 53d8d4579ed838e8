-- Rows whose caption is near a prompt and not equal to it: prompt_key, sample_id, score.
select distinct prompts.prompt_key, captioned.sample_id, nearest.score
from nearest
join prompts using (normalised)
join captioned using (caption_key)
where captioned.normalised <> prompts.normalised
