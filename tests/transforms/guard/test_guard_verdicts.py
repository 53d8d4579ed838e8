"""The guard by itself: what blocks, what it says, and that whatever could not be checked is not allowed."""

import io
import json
import os
import shutil
import signal
import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import bundles
import numpy as np
import pytest
from bundles import POLICY, Blurred
from conftest import encoded, picture
from PIL import Image, ImageOps

from transforms import encoders
from transforms.encoders import EncoderMismatch, EncoderUnavailable, Prepared, Vectors
from transforms.guard import Bundle, BundleError, Guard, Looks, OverrideError, Verdict
from transforms.guard.bundle import manifest_digest
from transforms.guard.bundle_writer import new_bundle
from transforms.hashing.hashes import pdq
from transforms.pictures import decode
from transforms.pictures.confined import requests
from transforms.pictures.confined.pool import DecoderPool

KNOWN, NEW = range(8), 100  # seeds


@pytest.fixture(scope="module")
def files() -> list[bytes]:
    return [encoded(picture(seed)) for seed in KNOWN]


@pytest.fixture(scope="module")
def folder(files: list[bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.write(tmp_path_factory.mktemp("guard") / "bundle", files, Blurred())


@pytest.fixture(scope="module")
def guard(folder: Path) -> Guard:
    return Guard.load(folder, Blurred())


def method(verdict: Verdict) -> str | None:
    return verdict.evidence and verdict.evidence.method


def test_the_cheapest_sufficient_reason_is_given(guard: Guard, files: list[bytes]) -> None:
    image = Image.open(io.BytesIO(files[3]))
    for shown, by in (
        (files[3], "sha256"),
        (encoded(image, "PNG"), "pixels"),
        (np.asarray(image), "pixels"),
        (encoded(ImageOps.mirror(image), quality=60), "pdq"),
        (encoded(image.rotate(90, expand=True).resize((150, 200))), "pdq"),
        (encoded(ImageOps.expand(image.resize((128, 96)), (0, 0, 128, 96), "navy")), "embedding"),
    ):
        verdict = guard.check(shown)
        assert (verdict.decision, method(verdict)) == ("block", by)
        assert verdict.verdict == ("exact" if by in ("sha256", "pixels") else "similar")
        first = verdict.sources[0]
        assert (first.cluster_id, first.duplicate_count, first.licenses) == (1003, 4, ("cc0-1.0",))
        assert first.url == "https://images.example.org/3.jpg"
        assert not verdict.allowed


def test_what_is_allowed_says_what_was_searched_and_how_likely_chance_is(guard: Guard) -> None:
    verdict = guard.check(encoded(picture(NEW)))
    assert verdict.allowed
    assert (verdict.decision, verdict.verdict) == ("allow", "no_match_found")
    assert (verdict.evidence, verdict.sources) == (None, ())
    assert verdict.p_value is not None and 0 < verdict.p_value <= 1
    searched = verdict.searched
    assert (searched.rows, searched.searchable, searched.coverage, searched.recall) == (36, 72, 0.5, 1.0)
    assert searched.bundle == guard.bundle.name
    said = json.loads(json.dumps(verdict.as_dict()))
    assert said["searched"]["fingerprints"] == ["sha256", "pixels", "pdq", "embedding"]


def test_a_p_value_blocks_where_the_policy_says_so(files: list[bytes], tmp_path: Path) -> None:
    shown = encoded(picture(NEW))
    strict = replace(POLICY, p_value=1.0, copy_score=1.0)
    verdict = Guard.load(bundles.write(tmp_path / "bundle", files, Blurred(), strict), Blurred()).check(shown)
    assert (verdict.decision, method(verdict), len(verdict.sources)) == ("block", "p_value", 1)
    passed = {"rule": "allow", "cluster_id": f"0{verdict.sources[0].cluster_id}"}  # the next strongest counts still
    listed = entries(tmp_path / "overrides.jsonl", passed)
    second = Guard.load(tmp_path / "bundle", Blurred(), listed).check(shown)
    assert (second.decision, method(second)) == ("block", "p_value")
    assert second.sources[0].cluster_id != verdict.sources[0].cluster_id


def test_ids_of_63_bits_stay_whole_in_json(guard: Guard, files: list[bytes]) -> None:
    assert guard.check(files[1]).as_dict()["sources"][0]["sample_id"] == str(2**60 + 1)


BOMB = encoded(Image.new("1", (20_000, 20_000)), "PNG", compress_level=1)
WIDE = bytearray(encoded(Image.new("1", (8, 8)), "BMP"))
struct.pack_into("<ii", WIDE, 18, 150_000, 1)


@pytest.mark.parametrize(
    ("shown", "reason"),
    [
        (b"", "empty"),
        (b"<html>no picture</html>", "not a picture"),
        (encoded(picture(NEW))[:2000], "truncated"),
        (BOMB, "pixels"),
        (bytes(WIDE), "a side is longer than limits.side = 100000"),
        (b"\xff" * 1_000_001, "more than 1,000,000 bytes, the limit"),
        ("/no/such/\n\x1b[31mfile.png", "No such file"),
        (np.zeros((4, 4), np.uint8), "must be uint8 of shape"),
        (np.zeros((4, 4, 3), np.float32), "must be uint8 of shape"),
        (np.zeros((0, 4, 3), np.uint8), "must be uint8 of shape"),
    ],
)
def test_what_cannot_be_read_is_not_allowed(guard: Guard, shown: bytes | str | np.ndarray, reason: str) -> None:
    verdict = guard.check(shown)
    assert (verdict.decision, verdict.verdict, verdict.allowed) == ("unavailable", "not_searched", False)
    assert reason in verdict.reason


def saved(image: Image.Image, kind: str, *further: Image.Image) -> bytes:
    return encoded(image, kind, **({"save_all": True, "append_images": further} if further else {}))


def with_alpha(image: Image.Image, alpha: Image.Image | int) -> Image.Image:
    shown = image.convert("RGBA")
    shown.putalpha(alpha)
    return shown


def test_nothing_hides_a_copy_from_the_guard(folder: Path, guard: Guard, files: list[bytes], tmp_path: Path) -> None:
    """What a viewer may show is looked at, or it is not allowed: later frames, what is transparent, other samples."""
    copy, new = Image.open(io.BytesIO(files[3])).convert("RGB"), picture(NEW)
    grey, white = copy.convert("L"), Image.new("RGB", copy.size, "white")
    several = {kind: saved(new, kind, copy) for kind in ("GIF", "PNG", "WEBP", "TIFF", "MPO", "AVIF")}
    one = Guard.load(folder, Blurred(), looks=Looks(frames=1))
    assert "several frames" in one.check(several["GIF"]).reason
    assert method(guard.check(saved(copy.resize((90, 70)), "GIF", new))) == "pdq"
    deep = {
        "integers": encoded(Image.fromarray(np.asarray(grey).astype(np.int32) << 23), "TIFF"),
        "floats": encoded(Image.fromarray(np.asarray(grey).astype(np.float32) / 255), "TIFF"),
    }
    for name, shown in (several | deep).items():
        assert one.check(shown).decision == "unavailable", name
    for name, shown in several.items():
        assert guard.check(shown).decision == "block", name
    harmless = [new, *(picture(NEW + number) for number in (1, 2))]
    assert guard.varied({"copy_score": 0.95}).check(saved(*harmless[:1], "WEBP", *harmless[1:])).allowed
    for alpha in (with_alpha(copy, 0), with_alpha(copy, 3), with_alpha(white, grey)):
        assert guard.check(encoded(alpha, "PNG")).decision == "block"
    assert guard.check(encoded(with_alpha(new, 200), "PNG")).allowed
    seen = one.check(several["WEBP"])
    for kind, decision in (("pixel_sha256", "unavailable"), ("sha256", "allow")):  # an entry for the file was looked at
        listed = entries(tmp_path / kind, {"rule": "allow", kind: str(getattr(seen, kind))})
        assert Guard.load(folder, Blurred(), listed, looks=Looks(frames=1)).check(several["WEBP"]).decision == decision


def test_an_embedding_that_is_none_is_no_permission(folder: Path, files: list[bytes]) -> None:
    class Broken(Blurred):
        def embed(self, prepared: Sequence[Prepared]) -> Vectors:
            return super().embed(prepared) * self.factor

        factor = 1.0

    encoder = Broken()
    broken = Guard.load(folder, encoder)
    crop = encoded(ImageOps.expand(Image.open(io.BytesIO(files[3])).resize((128, 96)), (0, 0, 128, 96), "navy"))
    for encoder.factor in (np.nan, 0.0):
        assert broken.check(crop).decision == "unavailable"


def test_a_folder_is_no_image(guard: Guard, tmp_path: Path) -> None:
    assert guard.check(tmp_path).decision == "unavailable"


def test_a_flat_picture_is_checked_by_its_embedding_alone(guard: Guard) -> None:
    gradient = np.repeat(np.linspace(100, 110, 64).astype(np.uint8)[:, None, None], 64, axis=1).repeat(3, axis=2)
    assert guard.check(np.ascontiguousarray(gradient)).decision in ("allow", "block")


def test_a_check_that_takes_too_long_is_not_allowed(guard: Guard) -> None:
    verdict = guard.check(encoded(picture(NEW)), limit_s=1e-9)
    assert verdict.decision == "unavailable"
    assert "may take" in verdict.reason


def test_a_decoder_that_hangs_costs_the_time_of_its_check(guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = DecoderPool()
    monkeypatch.setattr(requests, "POOL", pool)
    assert guard.check(encoded(picture(NEW))).decision == "allow"
    os.kill(pool.all[0].pid, signal.SIGSTOP)
    verdict = guard.check(encoded(picture(NEW)), limit_s=0.1)
    assert (verdict.decision, verdict.temporary) == ("unavailable", True)
    assert verdict.reason == "decoding takes longer than this check may take"
    assert guard.check(encoded(picture(NEW))).decision == "allow"
    pool.close()


def test_another_encoder_is_refused_and_both_are_named(folder: Path) -> None:
    with pytest.raises(EncoderMismatch, match=r"blurred aaaaaaaaaaaa .* blurred bbbbbbbbbbbb"):
        Guard.load(folder, Blurred("b" * 64))


def test_an_encoder_that_is_not_there_is_refused(folder: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="no encoder is called 'blurred'"):
        Guard.load(folder, "blurred")


def test_a_bundle_that_nobody_trusted_signed_chooses_no_code(
    files: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a program of ours, nor of a distribution that happens to be installed, nor a file of the machine."""
    ran: list[str] = []
    monkeypatch.setattr(encoders, "load", lambda name, device: ran.append(name) or Blurred())
    names = ("sscd:/tmp/model.pt", "tiny", "tiny:16", "sscd:", "open_clip:x", "open_clip:ViT-B-32//etc/a.safetensors")
    for number, name in enumerate(names):
        made = bundles.write(tmp_path / str(number), files, Blurred(), encoder_name=name)
        with pytest.raises(EncoderUnavailable, match=f"names {name} as its encoder, .* with --encoder {name}"):
            Guard.load(made)
    assert ran == []
    assert Guard.load(made, name).check(files[0]).decision == "block" and ran == [name]
    for name in ("sscd", "sscd_distilled", "open_clip:ViT-B-32/laion400m_e31"):
        assert encoders.built_in(name)


def test_a_bundle_of_hashes_says_that_it_compares_no_embeddings(files: list[bytes], tmp_path: Path) -> None:
    guard = Guard.load(bundles.write(tmp_path / "bundle", files))
    assert guard.check(files[0]).decision == "block"
    allowed = guard.check(encoded(picture(NEW)))
    assert (allowed.decision, allowed.p_value, allowed.searched.recall) == ("allow", None, None)
    assert allowed.searched.fingerprints == ("sha256", "pixels", "pdq")
    flat = guard.check(encoded(Image.new("RGB", (64, 64), "navy")))  # its hash says nothing, and nothing else is there
    assert (flat.decision, "too little structure" in flat.reason) == ("unavailable", True)


def test_an_empty_bundle_which_would_allow_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="holds no picture"):
        Guard.load(bundles.write(tmp_path / "bundle", []))


def test_a_changed_or_truncated_file_is_refused_by_name(files: list[bytes], tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", files, Blurred())
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        place = whole.index(b"31") if path.name == "manifest.json" else len(whole) - 2
        changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
        for broken in (whole[:-9], whole + b"x", changed, None):
            path.unlink()
            if broken is not None:
                path.write_bytes(broken)
            with pytest.raises(BundleError, match=path.name):
                Guard.load(folder, Blurred())
            path.write_bytes(whole)
    Guard.load(folder, Blurred())


def sealed(path: Path, said: dict) -> None:
    path.chmod(0o644)
    path.write_text(json.dumps(said | {"digest": manifest_digest(said)}))


@pytest.mark.parametrize(
    "name", ["pdq_words.npy", "pdq_cluster.npy", "bytes_digests.npy", "clusters.arrow", "vectors.npy"]
)
def test_a_file_of_another_bundle_is_refused_by_name(
    folder: Path, files: list[bytes], tmp_path: Path, name: str
) -> None:
    mixed = bundles.write(tmp_path / "mixed", files[:5], Blurred())
    (mixed / name).unlink()
    shutil.copy(folder / name, mixed / name)
    said = json.loads((mixed / "manifest.json").read_text())
    listed = json.loads((folder / "manifest.json").read_text())["files"]
    sealed(mixed / "manifest.json", said | {"files": said["files"] | {name: listed[name]}})
    with pytest.raises(BundleError, match=f"{name.partition('_')[0]}.* (fit|rows)"):
        Guard.load(mixed, Blurred())


def test_an_open_bundle_stays_what_it_was(files: list[bytes], tmp_path: Path) -> None:
    """Its folder may be removed, or another put in its place; a file that is cut off is no permission."""
    folder = bundles.write(tmp_path / "bundle", files, Blurred())
    guard = Guard.load(folder, Blurred())
    folder.rename(tmp_path / "gone")
    bundles.write(folder, files, url="https://other.example.org/{}.jpg")
    assert guard.check(files[2]).sources[0].url == "https://images.example.org/2.jpg"
    vectors = tmp_path / "gone" / "vectors.npy"
    vectors.chmod(0o644)
    with vectors.open("r+b") as file:
        file.truncate(200)
    cut = guard.check(encoded(picture(NEW)))
    assert (cut.decision, cut.temporary) == ("unavailable", True)
    assert cut.reason.startswith("vectors.npy of the bundle was written to")


def test_a_manifest_of_another_format_or_of_other_paths_is_refused(files: list[bytes], tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", files)
    path = folder / "manifest.json"
    said = json.loads(path.read_text())
    for change, reason in (
        ({"format": 3}, "format 3"),
        ({"files": said["files"] | {"../secret": {"bytes": 1, "sha256": "0" * 64}}}, "not a file of a bundle"),
        ({"files": {}}, r"bytes_cluster\.npy' is missing"),
        ({"policy": {}}, r"policy\.pdq"),
        ({"policy": said["policy"] | {"copy_score": float("nan")}}, r"policy\.copy_score"),
        ({"fingerprints": ["sha256", "embedding"]}, "all needed, or none"),
    ):
        sealed(path, said | change)
        with pytest.raises(BundleError, match=reason):
            Bundle.open(folder)
    with pytest.raises(BundleError, match="no bundle at"):
        Bundle.open(tmp_path / "nowhere")


def test_a_bundle_is_never_written_over_and_a_failure_leaves_nothing(files: list[bytes], tmp_path: Path) -> None:
    folder = bundles.write(tmp_path / "bundle", files)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileExistsError, match="never overwritten"):
        bundles.write(folder, files)
    (tmp_path / ".writing-killed" / "bundle").mkdir(parents=True)
    with pytest.raises(ZeroDivisionError), new_bundle(tmp_path / "other") as made:
        made.whole("half", np.zeros(9))
        bundles.write(tmp_path / "another", [])
        assert sorted(path.name for path in made.folder.iterdir()) == ["half.npy"]
        shutil.rmtree(tmp_path / "another")
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == [folder]
    bundles.write(tmp_path / "again", files)
    assert {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()} == before


def entries(path: Path, *said: dict[str, str]) -> Path:
    path.write_text("\n".join(json.dumps(each | {"by": "ana", "reason": "so decided"}) for each in said) + "\n")
    return path


def test_a_curators_entries_decide_and_are_named(folder: Path, files: list[bytes], tmp_path: Path) -> None:
    new, other = encoded(picture(NEW)), encoded(picture(NEW + 1))
    near = encoded(Image.open(io.BytesIO(other)).resize((200, 150)))
    guard = Guard.load(folder, Blurred())
    first, second = guard.check(new), guard.check(other)
    known = guard.check(files[5])
    listed = entries(
        tmp_path / "overrides.jsonl",
        {"rule": "block", "sha256": str(first.sha256)},
        {"rule": "block", "pdq": pdq(decode(other, 10**6)).hex.upper()},
        {"rule": "allow", "pixel_sha256": str(known.pixel_sha256)},
        {"rule": "allow", "pixel_sha256": str(second.pixel_sha256)},
        {"rule": "allow", "cluster_id": "1006"},
    )
    guard = Guard.load(folder, Blurred(), listed)
    shown = {"new": new, "near": near, "other": other, "known": files[5]}
    decided = {name: guard.check(data) for name, data in shown.items()}
    assert {name: verdict.decision for name, verdict in decided.items()} == {
        "new": "block",
        "near": "block",
        "other": "block",  # a block goes before an allowance
        "known": "allow",
    }
    assert {method(verdict) for verdict in decided.values()} == {"override"}
    assert decided["new"].override == f"block sha256 {first.sha256} by ana: so decided"
    assert decided["new"].searched.overrides
    passed = guard.check(files[6])  # what it resembles does not count; everything else is still searched
    assert (passed.decision, passed.verdict) == ("allow", "no_match_found")
    assert (method(passed), passed.override) == ("override", "allow cluster_id 1006 by ana: so decided")
    assert guard.check(files[4]).decision == "block"
    assert guard.check(b"no picture").decision == "unavailable"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "line 2: "),
        ("[]", "an object whose values are text"),
        ('{"rule": "allow", "cluster_id": 7, "by": "a", "reason": "b"}', "ids too"),
        ('{"rule": "permit", "sha256": "00", "by": "a", "reason": "b"}', "it is block, allow or innocent"),
        ('{"rule": "allow", "pdq": "00", "by": "a", "reason": "b"}', "sha256, pixel_sha256, cluster_id"),
        ('{"rule": "block", "sha256": "00", "by": "a", "reason": "b"}', "64 hexadecimal digits"),
        ('{"rule": "allow", "cluster_id": "x", "by": "a", "reason": "b"}', "a whole number"),
        ('{"rule": "allow", "cluster_id": "18446744073709551616", "by": "a", "reason": "b"}', "a whole number"),
        ('{"rule": "allow", "cluster_id": "7", "reason": "b"}', "needs `by`, who decided"),
        ('{"rule": "allow", "cluster_id": "7", "by": "a", "reason": "\\ud800"}', "half a surrogate pair"),
        ('{"rule": "block", "rule": "allow", "cluster_id": "7", "by": "a", "reason": "b"}', "occurs twice"),
        ("\udcff", "line 2: "),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(folder: Path, tmp_path: Path, line: str, reason: str) -> None:
    path = tmp_path / "overrides.jsonl"
    path.write_bytes(b"\n" + line.encode(errors="surrogateescape"))
    with pytest.raises(OverrideError, match=r"overrides\.jsonl, line 2: ") as refused:
        Guard.load(folder, Blurred(), path)
    assert reason in str(refused.value)


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="the kernel tells resident pages on Linux alone")
def test_an_open_bundle_holds_no_page_that_was_read_to_verify_it(folder: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"  # others have pages of the fixture's bundle
    shutil.copytree(folder, own)
    bundle = Bundle.open(own)
    resident: dict[str, int] = {}
    name = ""
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if f"{own}/" in line:
            name = line.rpartition("/")[2]
        elif line.startswith("Rss:") and name:
            resident[name], name = int(line.split()[1]), ""
    assert {"clusters.arrow", "pixels_keys.npy", "pixels_cluster.npy"} <= resident.keys()
    assert set(resident.values()) == {0}
    rest = dict.fromkeys(("exact", "pdq_distance", "copy_score", "region"))
    assert bundle.source(0, **rest).duplicate_count, "they are read again on demand"
