"""Laying an image over the renditions of a bundle: what pixels say of a resemblance.

What belongs here: the finding, and comparing. What does not: measuring and the policies (`transforms/alignment/`), the
word for a measurement (`matches/candidates.py`); both are the warehouse's own.
"""

from functools import partial

from transforms.alignment.alteration_policy import AlterationLimits
from transforms.alignment.comparer import Comparer
from transforms.alignment.policy import PixelLimits
from transforms.fingerprints.views import WHOLE
from transforms.guard.pixels.renditions import Renditions, ShownPicture
from transforms.guard.verdict import ALTERED_COPY, COPY, PARTIAL_COPY, SIMILAR, PixelFinding
from transforms.matches.candidates import PairEvidence, verdict
from transforms.pictures import DecodeError, Pixels
from transforms.regions import Box

_CACHED = 24  # pictures whose features are kept, 1.6 MB each: a picture that many images resemble is reduced once
CONFIRMED = (COPY, PARTIAL_COPY, ALTERED_COPY)


class PixelConfirmation:
    """Compares images with the renditions of a bundle. Any number of threads may share it.

    Args:
        renditions: Those of the bundle.
        limits: When pixels agree, as the warehouse's settings had it.
        looser: When structure confirms an altered copy, likewise.
    """

    def __init__(self, renditions: Renditions, limits: PixelLimits, looser: AlterationLimits) -> None:
        self.renditions, self._limits, self._looser = renditions, limits, looser
        # not a method: in a cycle, files of a bundle that was replaced would stay open until these are collected
        self._comparer = Comparer[ShownPicture | int](partial(_pixels, renditions), limits, looser, _CACHED)

    def find(self, shown: ShownPicture, cluster: int) -> PixelFinding | None:
        """Return what pixels say of an image and a training picture, or None if the bundle has no rendition of it.

        Args:
            shown: The image.
            cluster: Number of the picture's cluster.
        """
        if cluster not in self.renditions:
            return None
        try:
            alignment, alteration = self._comparer.twice(shown, cluster)
        except DecodeError:  # of a rendition: nothing was compared, so nothing is refused
            return None
        evidence = PairEvidence("", cluster, None, None, False, False, alignment, alteration, WHOLE)
        word = verdict(evidence, self._limits, self._looser, 1.0, 0) or SIMILAR
        if word == ALTERED_COPY and alteration is not None:
            return PixelFinding(
                word,
                region=_corners(alteration.region_a),
                source_region=_corners(alteration.region_b),
                mirrored=alteration.mirrored,
                inliers=alteration.matches,
                agreement=round(alteration.agreement, 4),
                aligned_distance=round(alteration.aligned_distance, 4),
                altered_by=alteration.changes(self._looser),
            )
        if alignment is None:
            return PixelFinding(word)
        return PixelFinding(
            word,
            region=_corners(alignment.region_a),
            source_region=_corners(alignment.region_b),
            mirrored=alignment.mirrored,
            inliers=alignment.inliers,
            agreement=round(alignment.agreement, 4),
            aligned_distance=round(alignment.aligned_distance, 4),
        )


def _pixels(renditions: Renditions, name: ShownPicture | int) -> Pixels:
    return renditions.picture(name) if isinstance(name, int) else name.pixels


def _corners(box: Box) -> tuple[float, float, float, float]:
    return round(box.x, 4), round(box.y, 4), round(box.width, 4), round(box.height, 4)
