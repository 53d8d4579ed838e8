"""What lands during the soak: shards that come, change and go, generations, and odd files of every kind.

What belongs here: landing files, each of which takes its place whole. What does not: runs (`runs.py`).
"""

import random
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from conftest import Landing, Row, encoded, picture

from tests import odd_dumps

SHARDS, ODD = 6, 8
_MORE = """
[[datasets]]
name = "odd"
images = "odd/*"
[publishing]
coverage_drop = 1
lock_wait_s = 900
"""


def rows_of(first: int, count: int) -> list[Row]:
    """Return rows with pictures of their own.

    Args:
        first: Seed of the first picture.
        count: How many.
    """
    return [
        Row(f"https://images.example.org/{seed}.jpg", f"picture {seed}", encoded(picture(seed)))
        for seed in range(first, first + count)
    ]


class Inputs:
    """The landing folders, and what may happen to them.

    Args:
        landing: Filled by `test_kills.fill`.
        draw: Decides what happens.
    """

    def __init__(self, landing: Landing, draw: random.Random) -> None:
        self._landing, self._draw, self._count = landing, draw, 0
        (landing.folder / "odd").mkdir()
        text = landing.config.read_text().replace("[publishing]\ncoverage_drop = 1\n", "")
        landing.config.write_text(text + _MORE)
        self._odd()

    def change(self) -> str:
        """Let something land, change or go. Returns its name."""
        steps: tuple[Callable[[], object], ...] = (self._shard, self._gone, self._generation, self._odd, self._odd)
        step = self._draw.choice(steps)
        step()
        return step.__name__.strip("_")

    def _shard(self) -> None:
        """Land a shard, or another one of the same name: new pictures, known ones, one that is cut off."""
        rows = rows_of(self._draw.randrange(100), 2) + rows_of(self._draw.randrange(4), 1)
        cut = Row("https://cut.example.org/0.jpg", None, rows[0].data and rows[0].data[:99])
        self._landing.shard(f"1{self._draw.randrange(SHARDS):04d}", [*rows, cut])

    def _gone(self) -> None:
        shards = sorted((self._landing.folder / "laion").glob("1*.tar"))
        if shards:
            path = self._draw.choice(shards)
            path.unlink()
            path.with_suffix(".parquet").unlink()

    def _generation(self) -> None:
        self._count += 1
        path = self._landing.folder / "generations" / f"later-{self._count % 5}.png"
        picture(self._draw.randrange(9)).rotate(self._draw.randrange(3)).save(path.with_suffix(".new"), "PNG")
        path.with_suffix(".new").rename(path)

    def _odd(self) -> None:
        """Land a dump as accidents leave it, or put it in the place of an earlier one."""
        make = self._draw.choice((odd_dumps.tar, odd_dumps.parquet))
        with tempfile.TemporaryDirectory() as folder:
            dump = make(self._draw, Path(folder))
            place = self._landing.folder / "odd" / f"{self._draw.randrange(ODD):05d}{dump.path.suffix}"
            shutil.move(dump.path, place.with_suffix(".new"))
            place.with_suffix(".new").rename(place)
