-- One row per generation and training picture whose verdict a person took away: "not a copy".
-- What was measured stays in matches.evidence; provenance.sources and every count leave it out.
-- unique: generation_id, cluster_id
-- not_null: generation_id, cluster_id, sample_id, measured_verdict, decision_id, decided_by, decided_at
-- assert: measured_verdict in ('exact', 'copy', 'partial_copy', 'altered_copy', 'similar')
-- assert: copy_score between -1 and 1
-- column generation_id: of catalog.generations
-- column cluster_id: the cluster of the training picture; its own id where no other row shows it
-- column sample_id: the training row of the cluster that fits best
-- column measured_verdict: the verdict that was taken away
-- column copy_score: cosine of the copy embeddings
-- column decision_id: the decision
-- column decided_by: who decided so
-- column decided_at: when, in UTC
-- column reason: why, in the words of who decided

with best as (
    select
        evidence.generation_id,
        coalesce(members.representative_id, evidence.sample_id) as cluster_id,
        evidence.sample_id,
        evidence.measured_verdict,
        evidence.copy_score,
        evidence.decision_id
    from matches.evidence
    left join lance_cluster_members as members using (sample_id)
    where evidence.decision = 'not_a_copy' and evidence.measured_verdict is not null
    qualify row_number() over (
        partition by evidence.generation_id, coalesce(members.representative_id, evidence.sample_id)
        order by verdict_rank(evidence.measured_verdict), evidence.copy_score desc, evidence.sample_id
    ) = 1
)

select
    best.generation_id,
    best.cluster_id,
    best.sample_id,
    best.measured_verdict,
    best.copy_score,
    decision_id,
    decisions.decided_by,
    decisions.decided_at,
    decisions.reason
from best
join catalog.decisions using (decision_id)
order by best.generation_id, best.cluster_id
