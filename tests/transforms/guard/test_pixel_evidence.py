"""What pixels confirm and refuse of a resemblance, by the small copies in a bundle."""

import gc
import io
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import bundles
import numpy as np
import pytest
from bundles import POLICY, Blurred
from conftest import ROOT, encoded
from PIL import Image, ImageFilter, ImageOps
from test_hostile_bundles import array, manifest, seal

from transforms.guard import Bundle, BundleError, Guard

PHOTOGRAPHS = sorted((ROOT / "data" / "sample" / "generations").glob("*.jpg"))[:4]


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return [path.read_bytes() for path in PHOTOGRAPHS]


@pytest.fixture(scope="module")
def folders(files: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return bundles of which one lets pixels decide; of the first picture neither has a small copy."""
    root, strict = tmp_path_factory.mktemp("pixels"), replace(POLICY, copy_score=0.9)
    loose = replace(strict, pixels_decide=True)
    return {
        "strict": bundles.write(root / "strict", files, Blurred(), strict, renditions=3),
        "decide": bundles.write(root / "decide", files, Blurred(), loose, renditions=3),
        "look": bundles.write(
            root / "look", files, Blurred(), replace(loose, copy_score=1.0, look_from=0.3), renditions=3
        ),
    }


@pytest.fixture(scope="module")
def guards(folders: dict[str, Path]) -> dict[str, Guard]:
    return {name: Guard.load(folder, Blurred()) for name, folder in folders.items()}


def resembling(data: bytes) -> bytes:
    """Return a picture that is near by its embedding, and shows nothing of the other's detail."""
    image = Image.open(io.BytesIO(data)).convert("RGB")
    coarse = image.resize((16, 16), Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)
    return encoded(coarse.filter(ImageFilter.GaussianBlur(2)), "PNG")


def test_pixels_confirm_a_copy_and_say_where(guards: dict[str, Guard], files: list[bytes]) -> None:
    image = Image.open(io.BytesIO(files[2])).convert("RGB")
    whole = guards["strict"].check(encoded(ImageOps.mirror(image), quality=70))
    assert (whole.decision, whole.verdict, whole.evidence and whole.evidence.method) == ("block", "copy", "pdq")
    assert "confirmed by pixels" in whole.reason
    found = whole.sources[0].pixels
    assert found is not None and found.mirrored and found.verdict == "copy"
    assert whole.searched.renditions == 3
    width, height = image.size
    canvas = Image.new("RGB", (2 * width, height), "navy")
    canvas.paste(image, (width, 0))
    part = guards["look"].check(encoded(canvas, quality=90))
    assert (part.decision, part.verdict) == ("block", "partial_copy")
    x, _, share, _ = part.sources[0].region or (0, 0, 0, 0)
    assert 0.45 < x < 0.55 and 0.45 < share < 0.55


def test_a_guard_that_goes_closes_the_files_of_its_bundle(
    folders: dict[str, Path], files: list[bytes], tmp_path: Path
) -> None:
    """A bundle that is replaced every hour keeps none of its files open until the collector of cycles comes."""
    folder = tmp_path / "bundle"
    shutil.copytree(folders["look"], folder)

    def opened() -> set[Path]:
        links = [link.readlink() for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
        return {link for link in links if folder in link.parents}

    gc.collect()
    gc.disable()
    try:
        guard = Guard.load(folder, Blurred())
        assert guard.check(resembling(files[1])).searched.renditions == 3
        assert folder / "rendition_bytes.npy" in opened()
        del guard
        assert opened() == set()
    finally:
        gc.enable()


def test_what_pixels_refuse_is_let_through_by_policy_alone(guards: dict[str, Guard], files: list[bytes]) -> None:
    shown = resembling(files[1])
    strict, loose = (guards[name].check(shown) for name in ("strict", "decide"))
    assert (strict.decision, strict.verdict) == ("block", "similar")
    assert (loose.decision, loose.verdict) == ("allow", "similar")
    assert "but aligned pixels refuse all" in loose.reason
    refused = loose.sources[0].pixels
    assert refused is not None and not refused.confirmed and loose.sources[0].cluster_id == 1001
    without = guards["decide"].check(resembling(files[0]))
    assert (without.decision, without.verdict) == ("block", "similar"), "nothing refuses what has no small copy"
    assert guards["decide"].check(files[1]).verdict == "exact"


def test_a_bundle_of_the_first_format_is_read(files: list[bytes], tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", files, Blurred())
    said = manifest(folder) | {"format": 1}
    for new in ("pixels_decide", "look_from"):
        del said["policy"][new]
    seal(folder, said)
    guard = Guard.load(folder, Blurred())
    assert guard.check(files[0]).decision == "block"
    assert guard.searched.renditions == 0


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("rendition_starts", lambda each: each[::-1].copy(), "does not ascend"),
        ("rendition_starts", lambda each: each + np.uint64(1), "does not ascend"),
        ("rendition_cluster", lambda each: each * 0, "names a cluster twice"),
        ("rendition_cluster", lambda each: each + 9, "rendition_cluster"),
        ("rendition_bytes", lambda each: each[:-1], "rendition_bytes"),
        ("long_side", 1_000, "'long_side' = 1000 is none of PixelLimits"),
        ("cells", 1.5, "'cells' = 1.5 is none of"),
        ("likeness", -1, "likeness"),
    ],
)
def test_renditions_that_do_not_fit_are_named(
    folders: dict[str, Path], tmp_path: Path, name: str, change: Callable | float, reason: str
) -> None:
    folder = shutil.copytree(folders["decide"], tmp_path / "bundle")
    said = manifest(folder)
    if callable(change):
        array(folder, name, change)
    else:
        said["renditions"]["pixels"][name] = change
    seal(folder, said)
    with pytest.raises(BundleError, match=reason):
        Bundle.open(folder)


def test_a_small_copy_that_cannot_be_read_refuses_nothing(
    folders: dict[str, Path], files: list[bytes], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders["decide"], tmp_path / "bundle")
    array(folder, "rendition_bytes", np.zeros_like)
    seal(folder, manifest(folder))
    assert Guard.load(folder, Blurred()).check(resembling(files[1])).decision == "block"
