"""When do pixels confirm a copy? The thresholds, the measurements, and the one policy.

What belongs here: the measurements of two aligned pictures, and how much agreement is enough. What does not: measuring
(`alignment/align.py`), the words of a verdict (`sql/matches/evidence.sql`).

There are two confirmations. Either the region agrees as a whole: most of its cells, and its pixels on average. Or a
solid part of it agrees while the rest shows something else, as under lettering or in a template with another object.
Then the part must be large and in one piece, and many matches must support it. Photographs of one scene agree in
specks, not in large pieces.

Where only a part is confirmed, what lies around it must not be parallax: in two photographs taken a step apart one
plane may agree, and the rest of the other picture is there as well, only moved.
"""

from dataclasses import dataclass

from transforms.regions import Box

_PARALLAX = 0.1  # `Alignment.moved` from which the rest is of one scene; the parts measured have 0.06 at most


@dataclass(frozen=True)
class PixelLimits:
    """Every threshold of the confirmation. Pixels are those of the reduced picture, values are in [0, 1].

    Those from `structure` on decide, and are settings of the same names (`[thresholds]`).
    """

    long_side: int = 320  # pixels: pictures are brought to this size first
    enlarged: float = 3.0  # times at most: of a few pixels blown up, noise and blur look like structure
    keypoints: int = 600  # strongest kept a picture
    ratio: float = 0.8  # nearest over second-nearest descriptor distance (Lowe's test)
    reprojection: float = 3.0  # pixels between a point and its mapped match
    stretch: float = 4.0  # largest change of scale, either way
    structure: float = 0.015  # standard deviation from which a cell is evidence
    likeness: float = 0.95  # correlation from which a cell agrees
    gain: float = 0.3  # how far its contrast may stray from the common one, natural logarithm
    colour: float = 0.05  # how far its mean colour may lie off, after one gain and offset a channel
    inliers: int = 4  # matches inside the region
    inliers_part: int = 24  # the same where only part of it agrees: the outlines of two drawings bring a few
    cells: int = 90  # cells with structure inside the region: a line of text has fewer
    cells_whole: int = 40  # the same for the whole picture, which may be mostly sky
    agreement: float = 0.75  # share of those cells that agree
    agreement_whole: float = 0.55  # the same for the whole picture with `inliers_part`: a watermark may cover the rest
    agreement_unmatched: float = 0.9  # the same for the whole picture with fewer: little else speaks for it
    aligned_distance: float = 0.1  # l2 after alignment
    solid: int = 200  # cells of the largest piece that agrees, where the rest of the region does not
    solid_share: float = 0.2  # its share of the picture it fills more, times the agreement around it
    masked_mse: float = 0.02  # mean squared difference of the cells that agree
    larger_share: float = 0.28  # region's share of the picture it fills more: a shared logo or banner is no copy
    smaller_share: float = 0.08  # region's share of the other picture
    whole_overlap: float = 0.8  # share of both pictures that counts as the whole


@dataclass(frozen=True)
class Alignment:
    """How b is laid over a, and how well the two agree: the evidence that `confirmed` weighs.

    Distances are of values in [0, 1] after one gain and offset a channel.
    """

    inliers: int  # matches inside the region
    aligned_distance: float  # l2 over the region
    overlap_a: float  # the region's share of each picture
    overlap_b: float
    region_a: Box  # where it lies on each
    region_b: Box
    mirrored: bool
    cells: int  # cells with structure in the region, its edge left out
    agreement: float  # the share of them that agree
    solid: int  # those in the largest piece that agrees nearly everywhere
    geometry: str  # equal, similarity, affine, homography, or placed edge on edge
    homography: tuple[float, ...]  # 9, row by row: b to a, in fractions of either from its top left corner
    tile_l2: float  # largest l2 of the 4 x 4 tiles of the region (Carlini et al. 2023)
    masked_mse: float  # mean squared difference over the cells that agree (Webster 2023, without a template's own mask)
    structural_similarity: float  # mean SSIM over the region (Wang et al. 2004)
    moved: float | None = None  # share of what disagrees outside the region that lies elsewhere; None: not looked at

    def confirmed(self, limits: PixelLimits) -> bool:
        """Return whether the two pictures share the region or a solid part of it, and around a part is no parallax."""
        agrees = self.copied(limits) or self.partly_copied(limits)
        return agrees and (self.moved is None or self.moved < _PARALLAX)

    def doubted(self, limits: PixelLimits) -> bool:
        """Return whether only a part agrees, so that what lies around it counts: `moved`."""
        copied = self.copied(limits)
        return (copied or self.partly_copied(limits)) and not (copied and self.whole(limits))

    def copied(self, limits: PixelLimits) -> bool:
        """Return whether all of the region shows the same picture on both sides."""
        matched, whole = self.inliers >= limits.inliers, self.whole(limits)
        well_matched = self.inliers >= limits.inliers_part
        of_whole = limits.agreement_whole if well_matched else limits.agreement_unmatched
        if whole and self.aligned_distance == 0:
            return True  # not a pixel differs: even a flat picture equals itself
        return (
            (matched or whole)
            and self.cells >= (limits.cells_whole if whole else limits.cells)
            and self.agreement >= (of_whole if whole else limits.agreement)
            and self.aligned_distance <= limits.aligned_distance
            and max(self.overlap_a, self.overlap_b) >= limits.larger_share
            and min(self.overlap_a, self.overlap_b) >= limits.smaller_share
        )

    def partly_copied(self, limits: PixelLimits) -> bool:
        """Return whether a solid part of the region shows the same picture, even if the rest differs."""
        part = self.solid / max(self.cells, 1)
        return (
            self.inliers >= limits.inliers_part
            and self.solid >= limits.solid
            and self.masked_mse <= limits.masked_mse
            and max(self.overlap_a, self.overlap_b) * part * self.agreement >= limits.solid_share
            and min(self.overlap_a, self.overlap_b) * part >= limits.smaller_share
        )

    def whole(self, limits: PixelLimits) -> bool:
        """Return whether the region is the whole of both pictures, and little of it differs."""
        alike = self.aligned_distance <= limits.aligned_distance or self.agreement >= limits.agreement
        return alike and min(self.overlap_a, self.overlap_b) >= limits.whole_overlap
