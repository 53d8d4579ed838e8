"""When is a copy confirmed that was moved, recoloured, relit or painted over? The limits, the measurements, the policy.

What belongs here: the measurements of two pictures that a smooth and bounded change may turn into each other, and how
much agreement is enough. What does not: measuring (`alignment/alterations.py`), the strict policy, which is asked first
(`alignment/policy.py`), the words of a verdict (`sql/matches/evidence.sql`).

There are two confirmations again. Either the structure of all that both pictures can show agrees, whatever its colours,
in place or after a displacement that is small and smooth. Or clearly matched features lie where one map puts them, to a
fraction of a pixel and over a wide area, and what covers the rest is thin (a blend, a watermark) or less than half of
the picture. A second photograph of a scene does neither: what it shows moves against each other, and its features lie
beside their places.
"""

from dataclasses import dataclass

from transforms.regions import Box

PLACED = "placed"  # the geometry of pictures that are laid edge on edge
DISPLACED, RECOLOURED, RELIT, COVERED, REDRAWN = "displaced", "recoloured", "relit", "covered", "redrawn"


@dataclass(frozen=True)
class AlterationLimits:
    """Every threshold of the second confirmation. Pixels are those of the reduced picture, values are in [0, 1].

    The first four decide, and are settings (`[thresholds]`, with `altered_` before the name).
    """

    agreement: float = 0.9  # share of the cells that agree, of two pictures that both show nearly all of the other
    agreement_part: float = 0.85  # share of the cells that agree closely, of a part: a plane agrees in two photographs
    roughness: float = 0.11  # root mean square of the displacement's derivative: at the edge of an object it jumps
    exact_share: float = 0.8  # share of the clearest matches that lie exactly in place
    ratio: float = 0.75  # nearest over second-nearest descriptor distance of a match
    ratio_clear: float = 0.6  # the same of a clear match
    gate: int = 6  # matches on one map: with fewer, pictures are laid edge on edge or not at all
    displacement: float = 0.025  # largest distance from the map, as a share of the long side
    smooth: float = 0.02  # standard deviation of the window that displacements are averaged over, likewise
    likeness: float = 0.8  # correlation from which a cell agrees
    likeness_close: float = 0.95  # the same of a cell that agrees closely
    likeness_related: float = 0.5  # the same of a cell that shows something of both
    exact: float = 0.5  # pixels between a feature and its mapped match that is exactly in place
    colour: float = 0.05  # difference of a pixel's colour, after one map of colours, from which it is another's
    matches: int = 14  # matches on the map of pictures whose structure agrees: drawings of one outline share fewer
    cells: int = 60  # cells with structure in what both pictures show
    cells_unmatched: int = 150  # the same of pictures that are laid edge on edge without matches
    cells_tiny: int = 100  # the same of pictures of some 32 pixels, which have 144: they must agree better
    agreement_tiny: float = 0.93  # share of their cells that agree
    closely_tiny: float = 0.5  # share of their cells that agree closely
    exact_matches: int = 12  # clear matches exactly in place
    spread: float = 0.15  # share of a picture that they span
    in_place: float = 0.4  # share of the cells that agree in place, under what covers all
    related: float = 0.65  # share of those that show something of both
    kept: float = 0.52  # share of the picture that is not covered
    larger_share: float = 0.28  # of the picture that is shown more, what the other shows of it
    smaller_share: float = 0.05  # of the picture that is shown less
    whole_overlap: float = 0.8  # of both pictures, from which they show the whole of each other


@dataclass(frozen=True)
class Alteration:
    """How b may have been turned into a, or a into b: the evidence that `confirmed` weighs.

    Attributes:
        matches: Matched features within the largest distance of the map.
        exact_matches: Clear matches that lie exactly in place.
        exact_share: Their share of the clear matches within the largest distance.
        spread: The share that they span of the picture in which they span more.
        overlap_a: The share of a that b covers.
        overlap_b: The share of b that a covers.
        region_a: Where that lies on a.
        region_b: Where that lies on b.
        mirrored: Whether b is mirrored.
        geometry: Kind of the map: affine, homography, or placed edge on edge.
        homography: 9, row by row: b to a, in fractions of either from its top left corner.
        cells: Cells with structure. Of pictures that are laid edge on edge, here and below, it is what remains once a
            gradient over the whole of each is taken off.
        in_place: The share of them that agrees without displacement.
        in_place_closely: The share that agrees closely without it.
        related: The share that shows something of both without it.
        agreement: The share that agrees after displacement, in brightness or in fitted colours.
        agreement_closely: The share that then agrees closely.
        displacement: Its root mean square, as a share of the long side.
        roughness: Root mean square of its derivative.
        kept: The share of what both show whose colours and structure are in place.
        colour_change: Root mean square by which the channels' shares of the brightness differ, their means taken off.
        light_change: How far the ratio of brightness varies over the picture, as its natural logarithm, smoothly.
        aligned_distance: Root mean square difference of colours after the map, the displacement and one map of colours.
        room: Cells in what both show, with structure or without; 0 where an older release did not count them.
    """

    matches: int
    exact_matches: int
    exact_share: float
    spread: float
    overlap_a: float
    overlap_b: float
    region_a: Box
    region_b: Box
    mirrored: bool
    geometry: str
    homography: tuple[float, ...]
    cells: int
    in_place: float
    in_place_closely: float
    related: float
    agreement: float
    agreement_closely: float
    displacement: float
    roughness: float
    kept: float
    colour_change: float
    light_change: float
    aligned_distance: float
    room: int = 0

    def confirmed(self, limits: AlterationLimits) -> bool:
        """Return whether one picture is an altered copy of the other, or of a part of it."""
        enough = (
            max(self.overlap_a, self.overlap_b) >= limits.larger_share
            and min(self.overlap_a, self.overlap_b) >= limits.smaller_share
        )
        return enough and (self._same_structure(limits) or self._exactly_placed(limits))

    def _same_structure(self, limits: AlterationLimits) -> bool:
        """Return whether nearly all structure agrees, in place or smoothly displaced."""
        whole = min(self.overlap_a, self.overlap_b) >= limits.whole_overlap
        if self.matches < limits.matches:  # a displacement or fitted colours may make any two simple pictures alike
            return whole and (self._plainly_alike(limits) or self._tiny_and_alike(limits))
        if self.cells < limits.cells:
            return False
        smooth = self.roughness <= limits.roughness
        if whole:
            return max(self.in_place, self.agreement if smooth else 0.0) >= limits.agreement
        return max(self.in_place_closely, self.agreement_closely if smooth else 0.0) >= limits.agreement_part

    def _plainly_alike(self, limits: AlterationLimits) -> bool:
        """Return whether so much structure agrees in place that no matches are needed."""
        return self.cells >= limits.cells_unmatched and self.in_place >= limits.agreement

    def _tiny_and_alike(self, limits: AlterationLimits) -> bool:
        """Return whether nearly all structure agrees, edge on edge, of pictures too small for many cells or matches."""
        return (
            self.geometry == PLACED
            and 0 < self.room < limits.cells_unmatched
            and self.cells >= limits.cells_tiny
            and self.in_place >= limits.agreement_tiny
            and self.in_place_closely >= limits.closely_tiny
        )

    def _exactly_placed(self, limits: AlterationLimits) -> bool:
        """Return whether features lie exactly in place, and what lies over them leaves enough to be seen."""
        thinly = self.in_place >= limits.in_place and self.related >= limits.related
        return (
            self.exact_matches >= limits.exact_matches
            and self.exact_share >= limits.exact_share
            and self.spread >= limits.spread
            and (thinly or self.kept >= limits.kept)
        )

    def changes(self, limits: AlterationLimits) -> tuple[str, ...]:
        """Return in words what was changed: displaced, recoloured, relit, covered, redrawn (its structure is kept)."""
        moved = self.agreement_closely - self.in_place_closely > _MOVED
        covered = max(self.in_place, self.agreement) < limits.agreement_part
        closely = max(self.in_place_closely, self.agreement_closely)
        said = {
            DISPLACED: moved and not covered,
            RECOLOURED: self.colour_change > _RECOLOURED,
            RELIT: self.light_change > _RELIT,
            COVERED: covered,
            REDRAWN: not covered and closely < limits.agreement_part,
        }
        return tuple(word for word, true in said.items() if true)


_MOVED = 0.05  # share of the cells that agree closely only after displacement
_RECOLOURED = 0.015  # of the channels' shares
_RELIT = 0.12  # of the logarithm
