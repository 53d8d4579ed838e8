-- Place of a verdict among the words for likely sources, 1 the strongest.
-- parameter verdict: exact, copy, partial_copy, altered_copy or similar; NULL for any other word
list_position(['exact', 'copy', 'partial_copy', 'altered_copy', 'similar'], verdict)
