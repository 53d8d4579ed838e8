-- Whether a verdict confirms a copy: by equal files, by aligned pixels, or, of an altered copy, by structure.
-- parameter verdict: a word of provenance.sources or provenance.generations
verdict in ('exact', 'copy', 'partial_copy', 'altered_copy')
