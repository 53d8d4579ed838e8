"""Checking a picture against a bundle, cheap steps first. A picture that cannot be checked is not allowed.

What belongs here: the steps and what they decide. What does not: the answer (`guard/verdict.py`), the files
(`guard/bundle.py`), the search by embedding (`guard/embedding_search.py`).
"""

import copy
import math
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transforms import encoders, pictures
from transforms.encoders import Encoder, Prepared
from transforms.fingerprints import fingerprint
from transforms.fingerprints.fingerprint import OK, Fingerprint, Rules
from transforms.fingerprints.views import View, search_views
from transforms.guard import verdict as words
from transforms.guard.bundle import EXACT_KINDS, Bundle, BundleError
from transforms.guard.embedding_search import EmbeddingMatches, EmbeddingSearch, NearCluster, NotEmbedded
from transforms.guard.held_files import BundleChanged
from transforms.guard.overrides import BLOCK, NO_OVERRIDES, Override, Overrides
from transforms.guard.pixels.renditions import ShownPicture
from transforms.guard.verdict import Evidence, PixelFinding, Source, Verdict
from transforms.guard.wider_views import NEGATIVE, further_views
from transforms.hashing.hashes import sha256
from transforms.pictures import DecodeError, OutOfPatience, Pixels, Renderings, everything

if TYPE_CHECKING:
    from transforms.guard.pixels.confirmation import PixelConfirmation

_SOURCES = 10  # named in a verdict, and laid over the image
_NOTHING = ShownPicture(np.zeros((1, 1, 3), np.uint8))
_LOOKED = 3  # pictures below the threshold that are laid over the image
_WORST = (words.ALLOW, words.UNAVAILABLE, words.BLOCK)
type Image = bytes | Path | str | Pixels


@dataclass(frozen=True)
class Looks:
    """At what of an image a guard looks.

    Attributes:
        frames: Frames or pages of a file that are checked; a file of more is not allowed.
        also: Further views: `negative`, `rotated`, `tiles`.
        doubt: If set, an image whose first view has no cosine from this on is not searched by the other views. It is
            quicker, and misses parts.
        every_view: Whether every view is embedded in full. Otherwise all but the first are told from the whole or
            embedded small, by an encoder that can, and in full only those that come near to the threshold so.

    Raises:
        ValueError: If a view is none.
    """

    frames: int = 8
    also: tuple[str, ...] = (NEGATIVE,)
    doubt: float | None = None
    every_view: bool = False

    def __post_init__(self) -> None:
        """Refuse what is no view."""
        further_views(self.also)

    @property
    def views(self) -> tuple[View, ...]:
        """The further views."""
        return further_views(self.also)


class OutOfTime(RuntimeError):
    """A check takes longer than it may."""


@dataclass(frozen=True)
class _Clock:
    limit: float | None
    start: float = field(default_factory=time.perf_counter)

    @property
    def taken(self) -> float:
        return time.perf_counter() - self.start

    @property
    def left(self) -> float | None:
        """Seconds that are left, or None if any number is."""
        return None if self.limit is None else max(0.0, self.limit - self.taken)

    def tick(self, step: str) -> None:
        """Raise OutOfTime if a step has ended too late."""
        if self.limit is not None and self.taken > self.limit:
            raise OutOfTime(f"{step} ended after {self.taken:.2f} s; a check may take {self.limit:g} s")


@dataclass(frozen=True)
class _Hit:
    """A cluster that is a reason to block, and its evidence."""

    cluster: int
    exact: bool = False
    bits: int | None = None
    near: NearCluster | None = None
    negative: bool = False
    pixels: PixelFinding | None = None


@dataclass
class _Resemblances:
    """What was found of one picture on the way: entries that let something through, and what pixels refused."""

    shown: ShownPicture
    flat: int | None = None
    passed: list[Override] = field(default_factory=list)
    observed: list[int] = field(default_factory=list)
    refused: list[_Hit] = field(default_factory=list)
    first: Evidence | None = None

    @cached_property
    def inverted(self) -> ShownPicture:
        """The negative of the image."""
        return ShownPicture(255 - self.shown.pixels)


class Guard:
    """Checks generated images against one bundle. Any number of threads may share it."""

    def __init__(
        self,
        bundle: Bundle,
        encoder: Encoder | None,
        overrides: Overrides = NO_OVERRIDES,
        looks: Looks = Looks(),
    ) -> None:
        manifest, self._looks = bundle.manifest, looks
        self.bundle, self.policy = bundle, bundle.policy
        self.rules = Rules(manifest["limits"]["pixels"], manifest["limits"]["member_bytes"], self.policy.pdq_quality)
        self._exact = {kind: bundle.digests(kind) for kind in EXACT_KINDS}
        self._pdq, self._pdq_cluster = bundle.hashes, bundle.array("pdq_cluster")
        self._passed = self._let_through(overrides)
        self._observed: frozenset[int] = frozenset()
        views = search_views(**manifest["views"])
        self._embeddings = (
            None
            if encoder is None
            else EmbeddingSearch(
                bundle,
                encoder,
                (*views, *looks.views),
                self._passed,
                len(views),
                looks.doubt,
                not looks.every_view,
            )
        )
        self.searched = replace(bundle.searched, overrides=overrides.digest)
        self._overrides = overrides
        self._pixels = _confirmation(bundle)

    @property
    def frames(self) -> int:
        """How many frames or pages of a file are checked at most."""
        return self._looks.frames

    @classmethod
    def load(
        cls,
        path: Path | str,
        encoder: Encoder | str | None = None,
        overrides: Path | str | None = None,
        trusted: Sequence[Path | str] = (),
        looks: Looks = Looks(),
    ) -> "Guard":
        """Open and verify a bundle, and load its encoder.

        Args:
            path: The bundle.
            encoder: An encoder, or its name in the settings. Default: the name in the manifest.
            overrides: The curators' list, if any.
            trusted: Files of public keys, one of which must have signed the bundle. Default: it need not be signed.
            looks: At what of an image it looks.

        Raises:
            BundleError: a file is missing, changed, inconsistent or not signed; the message names it.
            KeyUnusable: If a key cannot be read.
            OverrideError: If the list cannot be used.
            EncoderUnavailable: If the encoder's weights cannot be loaded.
            EncoderMismatch: If the encoder is not the one of the bundle; the message names both.
            OSError: If the list cannot be read.
        """
        pictures.start(1)  # beside the encoder
        entries = NO_OVERRIDES if overrides is None else Overrides.read(Path(overrides))
        bundle = Bundle.open(Path(path), [Path(each) for each in trusted])
        if not bundle.searched.pictures:
            raise BundleError(f"{path} holds no picture, so it would allow everything; export another one")
        if bundle.encoder is None:
            guard = cls(bundle, None, entries, looks)
        else:
            encoder = encoder or _named_encoder(bundle, trusted)
            if isinstance(encoder, str):
                encoder = encoders.load(encoder, encoders.device_of(bundle.encoder))
            encoder.id.require(bundle.encoder)
            guard = cls(bundle, encoder, entries, looks)
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        verdict = guard.check(noise)  # compiles the loops and warms the encoder up
        if verdict.decision == words.UNAVAILABLE:
            raise BundleError(f"{path} cannot be searched: {verdict.reason}")
        return guard

    def check(self, image: Image, limit_s: float | None = None) -> Verdict:
        """Return the verdict on an image. Does not raise for its contents: an unreadable image is not allowed.

        Args:
            image: a path, the bytes of a file, or pixels, uint8 (height, width, 3).
            limit_s: Seconds after which the answer is `unavailable`.
        """
        clock = _Clock(limit_s)
        try:
            self.bundle.require_unchanged()
            digest, seen = self._read(image, clock)
            verdicts = []
            for picture in seen.pictures:  # a viewer may see any of them
                first = None if self._embeddings is None else self._embeddings.prepare(picture)
                printed = replace(fingerprint.of_pixels(picture, self.rules, dihedral=True), sha256=digest)
                clock.tick("hashing")
                verdict = self._checked(printed, picture, first, seen, clock)
                verdicts.append(replace(verdict, sha256=digest, pixel_sha256=printed.pixel_sha256))
                if verdict.decision == words.BLOCK:
                    break
            self.bundle.require_unchanged()
            return max(verdicts, key=lambda verdict: _WORST.index(verdict.decision))
        except (OutOfTime, OutOfPatience, encoders.DeviceFull, BundleChanged) as error:
            return replace(self._unavailable(str(error), clock), temporary=True)
        except DecodeError as error:
            return self._unavailable(f"the image cannot be read: {error}", clock)
        except (OSError, NotEmbedded) as error:
            return self._unavailable(str(error), clock)

    def look_up(self, printed: Fingerprint) -> Verdict:
        """Return the verdict on hashes that somebody else computed. It never allows: nothing else was compared.

        Args:
            printed: The hashes, as `lookups.fingerprint` reads them.
        """
        clock, found = _Clock(None), _Resemblances(_NOTHING)
        try:
            self.bundle.require_unchanged()
        except BundleChanged as error:
            return replace(self._unavailable(str(error), clock), temporary=True)
        override = self._overrides.of_image(printed, self.policy.pdq)
        if override and override.rule == BLOCK:
            return self._overridden(override, clock)
        for method, same in self._same(printed, None):
            if hits := self._counting([_Hit(cluster, exact=True) for cluster in same], found):
                return self._blocked(Evidence(method, 0, 0), hits, None, clock)
        if alike := self._counting(self._alike(printed), found):
            return self._blocked(Evidence(words.PDQ, alike[0].bits or 0, self.policy.pdq), alike, None, clock)
        if printed.dihedral is not None and printed.status != OK:
            return self._unavailable(words.not_by_hash(printed.pdq_quality or 0, self.policy), clock)
        verdict = self._unavailable(
            words.nothing_looked_up(0 if printed.dihedral is None else len(printed.dihedral), self.searched), clock
        )
        return replace(verdict, verdict=words.NO_MATCH_FOUND, observed=tuple(dict.fromkeys(found.observed)))

    def unavailable(self, reason: str) -> Verdict:
        """Return the verdict on what cannot be checked.

        Args:
            reason: Why.
        """
        return self._unavailable(reason, _Clock(None))

    def varied(self, changes: Mapping[str, Any], observed: Collection[int] = ()) -> "Guard":
        """Return a guard of the same bundle that decides otherwise; both share everything else.

        Args:
            changes: Fields of the policy.
            observed: Ids of clusters that block nothing but exact copies.

        Raises:
            ValueError: If the bundle cannot decide so.
        """
        policy = replace(self.policy, **changes)
        if policy.at_least < self.bundle.policy.at_least:
            raise ValueError(
                f"at_least = {policy.at_least}, and the bundle holds {self.bundle.policy.at_least} and more"
            )
        if (policy.pixels_decide or policy.look_from is not None) and self._pixels is None:
            raise ValueError("pixels_decide and look_from need a bundle that was exported --with-evidence")
        if policy.p_value is not None and self._looks.doubt is not None:
            raise ValueError("p_value needs all views, and with a doubt some images are searched by one alone")
        if policy.p_value is not None and (self._embeddings is None or self.bundle.null is None):
            raise ValueError("p_value needs a bundle that is calibrated")
        other = copy.copy(self)
        other.policy = policy
        other._observed = frozenset(self.bundle.by_cluster(dict.fromkeys(observed, True)))
        return other

    def _let_through(self, overrides: Overrides) -> dict[int, Override]:
        """Return the entries by which clusters do not count, by number: those named, and those like an innocent."""
        passed = self.bundle.by_cluster(overrides.allowed_clusters)
        for entry in overrides.innocent:
            printed = entry.fingerprint
            same = [cluster for _, clusters in self._same(printed, None) for cluster in clusters]
            for cluster in (*same, *(hit.cluster for hit in self._alike(printed))):
                passed.setdefault(cluster, entry)
        return passed

    def lets_through(self) -> list[str]:
        """Return what else the curators' entries let through: a sentence for each cluster that no longer counts."""
        told = []
        for cluster, entry in sorted(self._passed.items()):
            source = self.bundle.source(cluster, exact=False, pdq_distance=None, copy_score=None, region=None)
            rows = source.duplicate_count + source.recalled_count
            told.append(
                f"{entry}: whatever resembles or equals cluster {source.cluster_id}, which {rows:,} rows show"
                + (f", such as {source.url}" if source.url else "")
            )
        return told

    def _read(self, image: Image, clock: _Clock) -> tuple[str | None, Renderings]:
        """Return the SHA-256 of a file (None of pixels), and the pictures that a viewer may see."""
        if isinstance(image, np.ndarray):
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
                raise OSError(f"pixels must be uint8 of shape (height, width, 3), not {image.dtype} of {image.shape}")
            return None, Renderings((np.ascontiguousarray(image),))
        if not isinstance(image, bytes | str | Path):
            raise TypeError(f"an image is a path, its bytes, or pixels as a NumPy array, not {type(image).__name__}")
        if not isinstance(image, bytes):
            with Path(image).open("rb") as file:
                image = file.read(self.rules.member_bytes + 1)
        if len(image) > self.rules.member_bytes:
            raise OSError(f"the image has more than {self.rules.member_bytes:,} bytes, the limit")
        bounds = self.rules.bounds
        if clock.limit is not None:  # what decodes for longer than half of it would be too late in any case
            bounds = replace(bounds, seconds=min(bounds.seconds, max(1.0, math.ceil(clock.limit / 2))))
        return sha256(image), everything(image, bounds, self._looks.frames, clock.left)

    def _checked(
        self, printed: Fingerprint, picture: Pixels, first: Future[Prepared] | None, seen: Renderings, clock: _Clock
    ) -> Verdict:
        """Check step by step. If the file has hidden contents, only an override for the file allows it.

        Args:
            printed: The fingerprint.
            picture: uint8 (height, width, 3).
            first: Its first view for the encoder, if there is one.
            seen: All that the file shows.
            clock: Time left.
        """
        policy, hidden = self.policy, seen.hidden
        override = self._overrides.of_image(printed, policy.pdq)
        if override and (override.rule == BLOCK or not hidden or override.kind == "sha256"):
            return self._overridden(override, clock)
        found = _Resemblances(ShownPicture(picture), None if printed.status == OK else printed.pdq_quality or 0)
        for method, same in self._same(printed, seen.identity):
            if hits := self._counting([_Hit(cluster, exact=True) for cluster in same], found):
                return self._blocked(Evidence(method, 0, 0), hits, None, clock)
        alike = self._counting(self._alike(printed), found)
        clock.tick("comparing hashes")
        if alike:
            evidence = Evidence(words.PDQ, alike[0].bits or 0, policy.pdq)
            if block := self._resembling(evidence, alike, None, found, clock):
                return block
        if hidden:
            return self._unavailable(f"the image cannot be checked as a whole: {hidden}", clock)
        if self._embeddings is None or first is None:
            if printed.status != OK:
                return self._unavailable(words.too_flat(printed.pdq_quality or 0, policy), clock)
            return self._allowed(None, found, clock)
        return self._by_embedding(self._embeddings, first, found, clock)

    def _by_embedding(
        self, search: EmbeddingSearch, first: Future[Prepared], found: _Resemblances, clock: _Clock
    ) -> Verdict:
        """Check the last steps: the embeddings, their p-value, and what pixels say of pictures that are less near."""
        policy = self.policy
        matches = search.search(
            found.shown.pixels, first, policy.copy_score, policy.look_from, clock.tick, policy.p_value is not None
        )
        clock.tick("comparing embeddings")
        if near := self._counting([_Hit(match.cluster, near=match) for match in matches.clusters], found):
            score = near[0].near.score if near[0].near else 0.0
            evidence = Evidence(words.EMBEDDING, score, policy.copy_score)
            if block := self._resembling(evidence, near, matches.p_value, found, clock):
                return block
        for strongest in matches.strongest:
            limit, p = policy.p_value, strongest.p_value
            if limit is not None and p is not None and p <= limit:
                hit = _Hit(strongest.near.cluster, near=strongest.near)
                if hits := self._counting([hit], found):
                    evidence = Evidence(words.P_VALUE, p, limit)
                    if block := self._resembling(evidence, hits, p, found, clock):
                        return block
        if block := self._looked_at(matches, found, clock):
            return block
        allowed = self._allowed(matches.p_value, found, clock)
        if matches.views > 1 or self._looks.doubt is None:
            return allowed
        one = f"searched by one view, whose best cosine, {matches.best:.4g}, is below {self._looks.doubt:g}"
        return replace(allowed, reason=f"{allowed.reason}; {one}")

    def _resembling(
        self, evidence: Evidence, hits: list[_Hit], p_value: float | None, found: _Resemblances, clock: _Clock
    ) -> Verdict | None:
        """Return a block for a resemblance, or None if pixels refuse it and the policy lets them decide."""
        if self._pixels is None:
            return self._blocked(evidence, hits, p_value, clock)
        compared, confirmed = self._compared(hits, found, clock)
        if confirmed is not None:
            hits = [confirmed, *(hit for hit in compared if hit is not confirmed)]
            return self._blocked(evidence, hits, p_value, clock)
        if not self.policy.pixels_decide or any(hit.pixels is None for hit in compared):
            return self._blocked(evidence, compared, p_value, clock)
        seen = {hit.cluster for hit in found.refused}
        found.refused += [hit for hit in compared if hit.cluster not in seen]
        found.first = found.first or evidence
        return None

    def _compared(self, hits: list[_Hit], found: _Resemblances, clock: _Clock) -> tuple[list[_Hit], _Hit | None]:
        """Lay the picture over the first hits until one is confirmed. Return them all, and the one that is."""
        assert self._pixels is not None  # noqa: S101 -- asked for by those that know
        known = {hit.cluster: hit.pixels for hit in found.refused}
        for number, hit in enumerate(hits[:_SOURCES]):
            negative = hit.negative or (hit.near is not None and getattr(hit.near.view, NEGATIVE, False))
            shown = found.inverted if negative else found.shown
            finding = (None if negative else known.get(hit.cluster)) or self._pixels.find(shown, hit.cluster)
            clock.tick("comparing pixels")
            hits[number] = replace(hit, pixels=finding)
            if finding is not None and finding.confirmed:
                return hits, hits[number]
        return hits, None

    def _looked_at(self, matches: EmbeddingMatches, found: _Resemblances, clock: _Clock) -> Verdict | None:
        """Return a block if pixels confirm a copy of a picture that is near, although not near enough to block."""
        if self._pixels is None or self.policy.look_from is None:
            return None
        seen = {hit.cluster for hit in found.refused}
        near = [_Hit(match.cluster, near=match) for match in matches.next if match.cluster not in seen]
        hits = [
            hit for hit in self._counting(near, _Resemblances(found.shown)) if hit.cluster in self._pixels.renditions
        ][:_LOOKED]
        _, confirmed = self._compared(hits, found, clock)
        if confirmed is None or confirmed.near is None:
            return None
        evidence = Evidence(words.EMBEDDING, confirmed.near.score, self.policy.look_from)
        return self._blocked(evidence, [confirmed], matches.p_value, clock)

    def _counting(self, hits: list[_Hit], found: _Resemblances) -> list[_Hit]:
        """Return the hits that may block, and note the entries that let others through, and those that are observed."""
        if self.policy.at_least > self.bundle.policy.at_least:
            hits = [hit for hit in hits if self.bundle.shown_by(hit.cluster) >= self.policy.at_least]
        if not self._passed and not self._observed:
            return hits
        now, counting = time.time(), []
        for hit in hits:
            if (entry := self._passed.get(hit.cluster)) and not entry.expired(now):
                found.passed.append(entry)
            elif hit.cluster in self._observed and not hit.exact:
                found.observed.append(self.bundle.cluster_id(hit.cluster))
            else:
                counting.append(hit)
        return counting

    def _same(self, printed: Fingerprint, identity: str | None) -> Iterator[tuple[str, list[int]]]:
        """Yield the method and clusters of the same bytes, of all the same pixels, then of one rendering."""
        for kind, digest, method in (
            ("bytes", printed.sha256, words.BYTES),
            ("pixels", identity, words.PIXELS),
            ("pixels", printed.pixel_sha256, words.PIXELS),
        ):
            if digest:
                yield method, self._exact[kind].find(bytes.fromhex(digest))

    def _alike(self, printed: Fingerprint) -> list[_Hit]:
        """Return the clusters with a near perceptual hash, nearest first."""
        if printed.status != OK or printed.dihedral is None:
            return []
        nearest: dict[int, tuple[int, bool]] = {}
        for negative in (False, True) if NEGATIVE in self._looks.also else (False,):
            turns = ~printed.dihedral if negative else printed.dihedral  # a negative has the other bits
            matches = self._pdq.find_near(turns, self.policy.pdq)
            for cluster, bits in zip(self._pdq_cluster[matches.row].tolist(), matches.distance.tolist(), strict=True):
                nearest[cluster] = min((bits, negative), nearest.get(cluster, (bits, negative)))
        ordered = sorted(nearest.items(), key=lambda each: (each[1][0], each[0]))
        return [_Hit(cluster, bits=bits, negative=negative) for cluster, (bits, negative) in ordered]

    def _source(self, hit: _Hit) -> Source:
        box = hit.near and hit.near.view.box
        pixels = hit.pixels
        aligned = pixels.region if pixels and pixels.confirmed else None
        return self.bundle.source(
            hit.cluster,
            exact=hit.exact,
            pdq_distance=hit.bits,
            copy_score=hit.near and round(hit.near.score, 4),
            region=aligned or (box and (box.x, box.y, box.width, box.height)),
            pixels=pixels,
        )

    def _blocked(self, evidence: Evidence, hits: list[_Hit], p_value: float | None, clock: _Clock) -> Verdict:
        verdict = words.EXACT if evidence.method in (words.BYTES, words.PIXELS) else words.SIMILAR
        reason, finding = words.sentence(evidence), hits[0].pixels
        if finding is not None and finding.confirmed:
            verdict, reason = finding.verdict, words.confirmed(evidence, finding)
        return self._answer(words.BLOCK, verdict, reason, clock, evidence=evidence, hits=hits, p_value=p_value)

    def _allowed(self, p_value: float | None, found: _Resemblances, clock: _Clock) -> Verdict:
        """Return an allowance. `found`: without what the image would be blocked."""
        reason, passed = words.nothing_near(self.policy, self.searched, found.flat), found.passed
        verdict = self._answer(words.ALLOW, words.NO_MATCH_FOUND, reason, clock, p_value=p_value)
        if found.first is not None:
            reason, hits = words.refused(found.first, len(found.refused)), found.refused
            verdict = self._answer(
                words.ALLOW, words.SIMILAR, reason, clock, evidence=found.first, hits=hits, p_value=p_value
            )
        if found.observed:
            reason = f"observed, and not blocked, is what it resembles; {reason}"
            verdict = replace(verdict, reason=reason, observed=tuple(dict.fromkeys(found.observed)))
        if not passed:
            return verdict
        reason = f"a curator's entry: {passed[0]}; {reason}"
        return replace(verdict, reason=reason, evidence=Evidence(words.OVERRIDE, 0, 0), override=str(passed[0]))

    def _overridden(self, override: Override, clock: _Clock) -> Verdict:
        decision = words.BLOCK if override.rule == BLOCK else words.ALLOW
        reason, decided = f"a curator's entry: {override}", Evidence(words.OVERRIDE, 0, 0)
        verdict = self._answer(decision, words.NOT_SEARCHED, reason, clock, evidence=decided)
        return replace(verdict, override=str(override))

    def _unavailable(self, reason: str, clock: _Clock) -> Verdict:
        return self._answer(words.UNAVAILABLE, words.NOT_SEARCHED, reason, clock)

    def _answer(
        self,
        decision: str,
        verdict: str,
        reason: str,
        clock: _Clock,
        *,
        evidence: Evidence | None = None,
        hits: list[_Hit] | None = None,
        p_value: float | None = None,
    ) -> Verdict:
        sources = tuple(self._source(hit) for hit in (hits or [])[:_SOURCES])
        return Verdict(
            decision=decision,
            verdict=verdict,
            reason=reason,
            evidence=evidence,
            sources=sources,
            sources_found=len(hits or []),
            p_value=p_value,
            latency_ms=round(clock.taken * 1000, 3),
            policy=self.policy,
            searched=self.searched,
        )


def _confirmation(bundle: Bundle) -> "PixelConfirmation | None":
    if bundle.renditions is None:
        return None
    from transforms.guard.pixels.confirmation import PixelConfirmation  # late: OpenCV, which other bundles do without

    return PixelConfirmation(*bundle.renditions)


def _named_encoder(bundle: Bundle, trusted: Sequence[Path | str]) -> str:
    name = str(bundle.manifest["encoder"]["name"])
    if not encoders.built_in(name) and not trusted:
        raise encoders.EncoderUnavailable(
            f"the bundle names {name} as its encoder, which is not built in and may run code, and nobody trusted has "
            f"signed it; if it is yours, say so with --encoder {name}"
        )
    return name
