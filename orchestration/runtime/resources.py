"""The resource of the assets: settings, fact tables, encoders, and values derived from the settings.

What belongs here: holding the warehouse for a run, and building the arguments of functions that assets call. What does
not: using them (`defs/` and below).
"""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

import dagster as dg
from pydantic import PrivateAttr

from orchestration import progress
from orchestration import settings as toml
from orchestration.compute import engines, named_encoders, ray_cluster
from orchestration.compute.named_encoders import NamedEncoder
from orchestration.facts import Facts
from orchestration.facts.decision_log import DecisionLog
from orchestration.facts.migration import migrate
from orchestration.facts.training_pictures import TrainingPictures
from orchestration.runtime import homes
from orchestration.runtime.history.run_logs import forget_old_logs
from orchestration.settings import Settings, SettingsError
from orchestration.settings.memory import MemoryParts
from orchestration.warehouse import lake, publishing
from transforms.alignment.alteration_policy import AlterationLimits
from transforms.alignment.policy import PixelLimits
from transforms.duplicates import pairs
from transforms.encoders import Encoder, EncoderId
from transforms.fingerprints.ahead import WorkPace
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.shard import RightsReading
from transforms.fingerprints.views import View, search_views
from transforms.packages import installing
from transforms.pictures.rights import manifests

_FETCHED = "fetched"


class WarehouseResource(dg.ConfigurableResource):
    """The warehouse of a run, which is its only writer from its first step to its last.

    A second run logs the holder, waits up to `publishing.lock_wait_s` seconds, and is then refused.
    """

    _settings: Settings = PrivateAttr()
    _warn: Callable[[str], None] = PrivateAttr()
    _refusal: Exception | None = PrivateAttr(None)

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator["WarehouseResource"]:
        """Hold the writer's lock while the run's steps execute. Migrates the facts first.

        If that fails, `settings` raises the error in the first step that reads them. Raised here, before any step, it
        would be shown behind a message of Dagster's.
        """
        with ExitStack() as held:
            try:
                self._settings = toml.load()
                self._open(context, held)
                self._refusal = None
            except Exception as error:
                self._refusal = error
            yield self

    def _open(self, context: dg.InitResourceContext, held: ExitStack) -> None:
        wait = self._settings.publishing.lock_wait_s

        def warn(sentence: str) -> None:
            print(sentence, file=sys.stderr, flush=True)  # the command line shows no log
            if context.log:
                context.log.warning(sentence)

        self._warn = warn
        run = context.run.run_id if context.run else "outside of a run"
        home = self._settings.home
        homes.require_usable(home)
        if (address := self._settings.publishing.lake) and (trouble := lake.trouble(address)):
            warn(f"at present nothing can be published to the lake: {trouble}")  # until the run ends, that may change
        held.enter_context(publishing.writer(home, run=run, wait_s=wait, on_wait=warn))
        held.enter_context(ray_cluster.kept())
        held.enter_context(progress.log_to(context.log.info) if context.log else nullcontext())
        shutil.rmtree(home / _FETCHED, ignore_errors=True)  # what a killed run had fetched
        migrate(Facts(home / "facts"), warn)
        DecisionLog(home).take_up()
        if context.instance:
            forget_old_logs(Path(context.instance.root_directory), self._settings.publishing.run_logs, warn)

    def warn(self, sentence: str) -> None:
        """Say something to whoever started the run, and in its log."""
        self._warn(sentence)

    # Settings and places

    @property
    def settings(self) -> Settings:
        """The settings, as they were when the run began. Raises the error for which this run may not write."""
        if self._refusal is not None:
            raise self._refusal
        return self._settings

    @property
    def home(self) -> Path:
        """The folder of the warehouse."""
        return self.settings.home

    @property
    def fetched(self) -> Path:
        """The folder for dumps from an object store, while they are read."""
        return self.home / _FETCHED

    # What is read

    @property
    def facts(self) -> Facts:
        """The fact tables."""
        return Facts(self.home / "facts")

    @property
    def training_picture(self) -> TrainingPictures:
        """The reader of training rows' pictures."""
        return TrainingPictures(self.facts, self.rules.bounds)

    # Encoders

    @property
    def encoder_names(self) -> dict[str, str]:
        """The encoders that the settings name, by purpose: `copy` and `semantic`, if there are such."""
        return self.settings.encoders.by_purpose

    def encoder(self, kind: str = "copy") -> Encoder:
        """Return the encoder for `copy` or `semantic`, loaded once a process."""
        return self.load(self.encoder_names[kind])

    def named_encoder(self, kind: str = "copy") -> NamedEncoder:
        """Return the encoder for `copy` or `semantic` as workers load it."""
        return NamedEncoder.of(self.encoder_names[kind], self.settings.encoders.device)

    @property
    def copy_encoder(self) -> EncoderId | None:
        """The identity of the copy encoder; None where the settings name none."""
        return self.encoder("copy").id if "copy" in self.encoder_names else None

    def encoder_id(self, kind: str) -> str | None:
        """Return the identity of an encoder as text. None for a fingerprint without an encoder."""
        return str(self.encoder(kind).id) if kind in self.encoder_names else None

    def require_encoders(self) -> None:
        """Load every encoder that the settings name, before anything costly is read. Raises EncoderUnavailable."""
        require_encoders(self.settings)

    def load(self, name: str) -> Encoder:
        """Load an encoder by its name, once a process."""
        return named_encoders.load(name, self.settings.encoders.device)

    # Rules and thresholds

    @property
    def rules(self) -> Rules:
        """The rules for pictures."""
        return rules_of(self.settings)

    @property
    def rights(self) -> RightsReading:
        """How what pictures' files say of their use is read."""
        return rights_of(self.settings)

    @property
    def pace(self) -> WorkPace:
        """The size of a batch, the number of threads, and the limits of files."""
        limits = self.settings.limits
        return WorkPace(limits.batch, engines.CORES, limits.of_files)

    @property
    def memory(self) -> MemoryParts:
        """The bytes that each kind of work may hold."""
        return self.settings.memory

    @property
    def views(self) -> tuple[View, ...]:
        """The parts of a generation to search with."""
        return search_views(self.settings.search.scales, self.settings.search.flips)

    @property
    def pixel_limits(self) -> PixelLimits:
        """When two pictures agree by pixels."""
        return self.settings.thresholds.pixels

    @property
    def alteration_limits(self) -> AlterationLimits:
        """When structure confirms an altered copy."""
        return self.settings.thresholds.alterations

    @property
    def duplicate_thresholds(self) -> pairs.DuplicateThresholds:
        """When two training rows show the same picture."""
        cut = self.settings.thresholds
        return pairs.DuplicateThresholds(cut.pdq, cut.similar, cut.duplicate_overlap, self.pixel_limits)


def rules_of(chosen: Settings) -> Rules:
    """Return the rules for pictures that settings choose."""
    limits = chosen.limits
    return Rules(
        max_pixels=limits.pixels,
        member_bytes=limits.member_bytes,
        pdq_quality=chosen.thresholds.pdq_quality,
        max_side=limits.side,
        max_aspect=limits.aspect,
        picture_memory=int(limits.picture_memory),
        picture_seconds=limits.picture_seconds,
    )


def rights_of(chosen: Settings) -> RightsReading:
    """Return how settings choose to read what files say of their use.

    Raises SettingsError where the library is missing, or certificates are.
    """
    if not chosen.rights.c2pa:
        return RightsReading()
    if not manifests.is_installed():
        raise SettingsError(f"`rights.c2pa` needs a library that is not installed: {installing('c2pa')}")
    anchors = []
    for name in chosen.rights.anchors:
        try:
            anchors.append(Path(name).read_text(encoding="ascii"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"`rights.anchors`: {name} cannot be read: {error}") from error
        if "-----BEGIN CERTIFICATE-----" not in anchors[-1]:
            raise SettingsError(f"`rights.anchors`: {name} holds no certificate in PEM")
    return RightsReading(verify=True, anchors="\n".join(anchors))


def require_encoders(chosen: Settings) -> None:
    """Load the encoders that settings choose, which stay loaded in this process. Raises EncoderUnavailable."""
    for name in chosen.encoders.by_purpose.values():
        named_encoders.load(name, chosen.encoders.device)
