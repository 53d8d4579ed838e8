"""The bounds of a picture: what it may state of itself, and what decoding it may need.

What belongs here: the numbers, and refusing a picture by its header. What does not: reading headers
(`pictures/decoder.py`), holding a process to its bounds (`pictures/confined/`).
"""

from dataclasses import dataclass

_BYTES = {"1": 1, "L": 1, "P": 1, "LA": 4, "PA": 4, "I;16": 2, "I;16B": 2, "I;16L": 2}  # of a pixel in memory; else 4
_RESULT = 3  # bytes of a pixel as it is handed on


class DecodeError(ValueError):
    """The bytes are not a usable picture. The message says why."""


class BeyondLimitsError(DecodeError):
    """The picture would take more memory or time than the limits allow."""


@dataclass(frozen=True)
class Bounds:
    """The bounds of one picture. The defaults are those of the settings, and no honest picture is known to meet them.

    Attributes:
        pixels: Most pixels.
        side: Most pixels of a side. What scales a picture takes memory in proportion to its longer side.
        aspect: Most times that one side may be as long as the other.
        memory: Most bytes that decoding may take.
        seconds: Most seconds of a processor that decoding may take.
    """

    pixels: int = 50_000_000
    side: int = 100_000
    aspect: int = 10_000
    memory: int = 2_000_000_000
    seconds: float = 60.0

    @classmethod
    def of(cls, within: "Bounds | int") -> "Bounds":
        """Return bounds, those of a number of pixels with the other defaults."""
        return within if isinstance(within, Bounds) else cls(within)

    def refuse_size(self, width: int, height: int, mode: str = "L") -> None:
        """Raise BeyondLimitsError for a picture of more than these bounds.

        Args:
            width: As its header states it.
            height: Likewise.
            mode: Pillow's mode of its pixels, by which the least memory that they take is known.
        """
        size = f"{width}x{height} pixels"
        if width * height > self.pixels:
            raise BeyondLimitsError(f"{size} are more than limits.pixels = {self.pixels}")
        if max(width, height) > self.side:
            raise BeyondLimitsError(f"{size}: a side is longer than limits.side = {self.side}")
        if max(width, height) > self.aspect * min(width, height):
            raise BeyondLimitsError(f"{size}: one side is more than limits.aspect = {self.aspect} times the other")
        least = width * height * (_BYTES.get(mode, 4) + _RESULT)
        if least > self.memory:
            raise BeyondLimitsError(f"{size} need at least {least} bytes, more than {self.memory_limit}")

    @property
    def memory_limit(self) -> str:
        """The limit of memory, as a reason names it."""
        return f"limits.picture_memory = {self.memory}"

    @property
    def time_limit(self) -> str:
        """The limit of time, as a reason names it."""
        return f"limits.picture_seconds = {self.seconds:g}"
