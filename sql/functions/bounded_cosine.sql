-- A cosine as it is published: computed of vectors whose length is rounded, it may exceed 1 in the seventh digit.
-- parameter value: the cosine; NULL stays NULL
if(value is null, null, greatest(-1.0::double, least(1.0::double, value)))
