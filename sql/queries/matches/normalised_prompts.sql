-- The prompts in `given` in the form in which captions are compared: prompt_key, prompt, normalised.
select sha256(prompt) as prompt_key, prompt, normalised_caption(prompt) as normalised
from given
where normalised is not null
order by prompt_key
