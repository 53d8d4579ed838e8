"""The section `[thresholds]`: from which values on two pictures are alike, and a finding is conclusive.

What belongs here: its keys. What does not: the policies of aligned pixels and of altered copies
(`transforms/alignment/policy.py`, `transforms/alignment/alteration_policy.py`).
"""

from dataclasses import fields

from pydantic import Field

from orchestration.settings.section import Section
from transforms.alignment.alteration_policy import AlterationLimits
from transforms.alignment.policy import PixelLimits

_PIXELS, _ALTERED = PixelLimits(), AlterationLimits()
_ALTERED_PREFIX = "altered_"


class Thresholds(Section):
    """The thresholds of the verdicts. `transforms/alignment/policy.py` is the policy of aligned pixels.

    `transforms/alignment/alteration_policy.py` is that of altered copies, for the keys that begin with `altered_`.

    Pictures are aligned at a long side of 320 pixels, or enlarged threefold where that is less, and compared in cells
    of 8 pixels.
    """

    pdq: int = Field(31, ge=0, le=31, description="Differing PDQ bits, of 256, up to which two hashes match.")
    pdq_quality: int = Field(50, ge=0, le=100, description="PDQ quality below which a hash says nothing.")
    similar: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Cosine of copy embeddings from which two pictures are compared by pixels. 0.5 is the replication "
        "threshold of Somepalli et al. 2022.",
    )
    caption: float = Field(
        0.8, gt=0, le=1, description="Jaccard similarity of their words from which two captions are nearly equal."
    )
    candidate: float = Field(
        0.25, ge=0, le=1, description="Cosine of copy embeddings from which a generation's neighbour is kept."
    )
    structure: float = Field(
        _PIXELS.structure,
        gt=0,
        le=1,
        description="Standard deviation of a cell's values, in [0, 1], from which it is evidence.",
    )
    likeness: float = Field(_PIXELS.likeness, gt=0, le=1, description="Correlation from which a cell agrees.")
    gain: float = Field(
        _PIXELS.gain,
        gt=0,
        le=5,
        description="Natural logarithm of the ratio of a cell's contrast to the common one, up to which it agrees.",
    )
    colour: float = Field(
        _PIXELS.colour,
        gt=0,
        le=1,
        description="Difference of mean colours, in [0, 1], up to which a cell agrees.",
    )
    inliers: int = Field(
        _PIXELS.inliers,
        ge=4,
        le=600,
        description="Matched local features on one geometry from which a region can be confirmed.",
    )
    inliers_part: int = Field(
        _PIXELS.inliers_part,
        ge=4,
        le=600,
        description="Matched local features from which less must agree: a `solid` piece, or `agreement_whole`.",
    )
    cells: int = Field(
        _PIXELS.cells,
        ge=1,
        le=1600,
        description="Cells with structure from which a region can be confirmed.",
    )
    cells_whole: int = Field(
        _PIXELS.cells_whole,
        ge=1,
        le=1600,
        description="Cells with structure from which a region that is the whole of both pictures can be confirmed.",
    )
    agreement: float = Field(_PIXELS.agreement, gt=0, le=1, description="Share of a region's cells that must agree.")
    agreement_whole: float = Field(
        _PIXELS.agreement_whole,
        gt=0,
        le=1,
        description="Share of the cells that must agree where the region is the whole of both pictures and has "
        "`inliers_part` features.",
    )
    agreement_unmatched: float = Field(
        _PIXELS.agreement_unmatched,
        gt=0,
        le=1,
        description="Share of the cells that must agree where the region is the whole of both pictures and has fewer "
        "features.",
    )
    aligned_distance: float = Field(
        _PIXELS.aligned_distance,
        gt=0,
        le=1,
        description="Root mean square difference of aligned pixels, in [0, 1], up to which they agree.",
    )
    solid: int = Field(
        _PIXELS.solid,
        ge=1,
        le=1600,
        description="Agreeing cells in one piece that, with `inliers_part` features, confirm a copy by themselves.",
    )
    solid_share: float = Field(
        _PIXELS.solid_share,
        gt=0,
        le=1,
        description="Least product of a solid piece's share of the picture that it fills more and the agreement "
        "around it.",
    )
    masked_mse: float = Field(
        _PIXELS.masked_mse,
        gt=0,
        le=1,
        description="Mean squared difference of agreeing pixels, in [0, 1], up to which a solid piece counts.",
    )
    larger_share: float = Field(
        _PIXELS.larger_share,
        gt=0,
        le=1,
        description="Share that a region must have of the picture it fills more.",
    )
    smaller_share: float = Field(
        _PIXELS.smaller_share,
        gt=0,
        le=1,
        description="Share that a region must have of the picture it fills less.",
    )
    duplicate_overlap: float = Field(
        0.6, gt=0, le=1, description="Shared share of both pictures from which two training pictures are the same."
    )
    whole_overlap: float = Field(
        _PIXELS.whole_overlap,
        gt=0,
        le=1,
        description="Shared share of both pictures from which a generation shows the whole source.",
    )
    coverage: float = Field(
        0.95,
        ge=0,
        le=1,
        description="Share of the training rows that must have been searched before finding no copy is conclusive.",
    )

    altered_agreement: float = Field(
        _ALTERED.agreement,
        gt=0,
        le=1,
        description="Share of the cells whose structure must agree for an altered copy of the whole picture, in place "
        "or after a smooth displacement.",
    )
    altered_agreement_part: float = Field(
        _ALTERED.agreement_part,
        gt=0,
        le=1,
        description="Share of the cells that must agree closely for an altered copy of a part.",
    )
    altered_roughness: float = Field(
        _ALTERED.roughness,
        gt=0,
        le=1,
        description="Root mean square of the derivative of the displacement, up to which it is smooth.",
    )
    altered_exact_share: float = Field(
        _ALTERED.exact_share,
        gt=0,
        le=1,
        description="Share of the clearest matched features that must lie in place to half a pixel for an altered copy "
        "that something covers.",
    )

    @property
    def pixels(self) -> PixelLimits:
        """When aligned pixels confirm a copy."""
        chosen, limits = self.model_dump(), fields(PixelLimits)
        return PixelLimits(**{limit.name: chosen[limit.name] for limit in limits if limit.name in chosen})

    @property
    def alterations(self) -> AlterationLimits:
        """When structure confirms an altered copy."""
        chosen, names = self.model_dump(), [limit.name for limit in fields(AlterationLimits)]
        return AlterationLimits(**{n: chosen[_ALTERED_PREFIX + n] for n in names if _ALTERED_PREFIX + n in chosen})


DECIDING = {
    "pixels": tuple(each.name for each in fields(PixelLimits) if each.name in Thresholds.model_fields),
    "alterations": tuple(
        each.name for each in fields(AlterationLimits) if _ALTERED_PREFIX + each.name in Thresholds.model_fields
    ),
}
"""Names of the limits that are settings, by the property of `Thresholds` that has them."""
