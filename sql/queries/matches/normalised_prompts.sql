-- Prompts, given as captions, in the form in which captions are compared: prompt_key, prompt, normalised.
select sha256(samples.caption) as prompt_key, samples.caption as prompt, keys.normalised
from duplicates.caption_keys as keys
join catalog.samples as samples using (sample_id)
order by prompt_key
