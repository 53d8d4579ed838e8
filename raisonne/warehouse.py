"""A published warehouse, opened for reading.

What belongs here: the questions that Python users ask of one version. What does not: SQL (`sql/`), a case in a notebook
(`raisonne/case_view.py`), guards (`raisonne/guards.py`).
"""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from orchestration import settings as toml
from orchestration.settings import Settings
from orchestration.settings.targets import PREFIX, LakeAddress
from orchestration.warehouse import lake, publishing
from orchestration.warehouse.queries import query
from raisonne import guards
from raisonne.case_view import CaseView
from transforms import pictures
from transforms.guard import Guard
from transforms.pictures import Pixels

if TYPE_CHECKING:
    import lance

    from orchestration.provenance.meaning.finder import Finder
    from transforms.encoders import Encoder

type Image = str | Path | bytes | Pixels
"""A path, the bytes of a file, or pixels as uint8 of shape (height, width, 3)."""
type Vector = Sequence[float] | npt.NDArray[np.floating]
_EMBEDDINGS = "select lance_versions['copy_embeddings'] from warehouse.versions order by version desc limit 1"
_ENCODERS = "select encoders from warehouse.versions order by version desc limit 1"


class Warehouse:
    """One published version of a warehouse. It keeps its version while runs publish others.

    Attributes:
        home: The folder of the warehouse.
        version: The number of the version.
        connection: DuckDB's read-only connection to it.
    """

    def __init__(self, settings: Settings, version: int | None, address: LakeAddress | None = None) -> None:
        self.home = settings.home
        self._settings, self._lake = settings, address
        self.connection = lake.open_published(settings.home, address, version)
        self.connection.execute("set timezone = 'UTC'")
        [(self.version,)] = self.connection.execute("select max(version) from warehouse.versions").fetchall()

    @classmethod
    def open(cls, path: str | Path, version: int | None = None) -> Self:
        """Open a warehouse by its folder, its settings or its lake; see `raisonne.open`.

        Args:
            path: The folder, a settings file, or the address of a lake.
            version: A kept earlier version; the published one if None.

        Raises:
            LookupError: If nothing is published there, or not that version, or it cannot be reached.
            ValueError: If the address cannot be read.
        """
        try:
            if str(path).startswith(PREFIX):
                return cls(toml.in_force(), version, LakeAddress.read(str(path)))
            if Path(path).suffix == ".toml":
                settings = toml.load(path)
                return cls(settings, version, settings.publishing.lake)
            return cls(_settings_of(Path(path)), version)
        except publishing.NotPublished as error:
            raise LookupError(str(error)) from None

    def sql(
        self, query: str, parameters: Mapping[str, object] | Sequence[object] | None = None
    ) -> duckdb.DuckDBPyRelation:
        """Run a query on the published tables. The relation converts by `.pl()`, `.to_arrow_table()`, `.df()`.

        Args:
            query: One statement.
            parameters: Values for `$name` or `?` in it.
        """
        return self.connection.sql(query, params=parameters)

    def sources(self, generation: str) -> duckdb.DuckDBPyRelation:
        """Return the likely sources of a generation, the strongest first, one a row.

        Args:
            generation: Its id, with or without the name of its source.
        """
        return self.sql("from sources_of($generation)", {"generation": generation})

    def copies(self, sample: int) -> duckdb.DuckDBPyRelation:
        """Return the training rows that show the same picture as a training row, itself included.

        Args:
            sample: Its `sample_id`.
        """
        return self.sql("from copies_of($sample)", {"sample": sample})

    def show(self, generation: str) -> CaseView:
        """Return the case of a generation, which a notebook displays with its pictures.

        Args:
            generation: Its id, or the end of its id after a slash.

        Raises:
            LookupError: If there is no such generation; the message gives the nearest names.
        """
        return CaseView.read(self.connection, self._settings, generation)

    def nearest(self, image: Image | Vector, k: int = 10) -> duckdb.DuckDBPyRelation:
        """Return the training rows whose copy embeddings are nearest, with their cosine. Compares every vector.

        The first picture loads the encoder; later ones do without.

        Args:
            image: An image, or a vector of the copy encoder, of shape (d,).
            k: Count of rows.

        Raises:
            ValueError: If the image cannot be decoded, or the vector is not of this encoder's size.
            transforms.encoders.EncoderMismatch: If the settings name another encoder than the warehouse holds.
        """
        vector = self._vector(image)
        table = self._embeddings()
        if table.schema.field("vector").type.list_size != len(vector):
            size = table.schema.field("vector").type.list_size
            raise ValueError(f"the vector has {len(vector)} numbers; vectors of this warehouse have {size}")
        asked = {"column": "vector", "q": vector, "k": k, "metric": "cosine", "use_index": False}
        found = table.to_table(columns=["sample_id"], nearest=asked)
        hits = pa.table({"sample_id": found["sample_id"], "cosine": 1 - found["_distance"].to_numpy()})
        return self.connection.from_arrow(hits).query("hits", query("find/nearest"))

    def find(self, asked: Image | Vector, k: int = 20, where: str | None = None) -> duckdb.DuckDBPyRelation:
        """Return the training rows nearest in meaning to words or to a picture, one of each cluster, nearest first.

        The first call loads the encoder of meaning and holds the vectors, where half of `limits.memory` is enough.

        Args:
            asked: Words as text; a picture as a `Path`, bytes of a file or pixels; or a vector of that encoder.
            k: Count of rows.
            where: A condition in SQL on the columns of `catalog.samples`, `cluster_id` and `duplicate_count`, such as
                `license = 'CC0'`.

        Raises:
            LookupError: If nothing is embedded by meaning; the message says what to do.
            ValueError: If the picture cannot be decoded, or the vector is not of this encoder's size.
            transforms.encoders.EncoderUnavailable: If the encoder's weights cannot be had.
            transforms.encoders.EncoderMismatch: If the settings name another encoder than the warehouse holds.
        """
        finder = self._finder
        if isinstance(asked, str):
            vector = finder.of_words(asked)
        elif not isinstance(asked, Path | bytes) and np.ndim(asked) == 1:
            vector = np.asarray(asked, np.float32)
        else:
            vector = finder.of_picture(self._pixels(asked))
        return self.connection.from_arrow(finder.nearest(vector, k, where).hits).query("hits", query("find/found"))

    @cached_property
    def _finder(self) -> "Finder":
        from orchestration.compute import named_encoders
        from orchestration.provenance.meaning.finder import Finder

        return Finder(self.connection, self._settings, named_encoders.loader(self._settings.encoders.device), hold=True)

    def guard(self) -> Guard:
        """Return a guard that checks images against the warehouse's newest bundle.

        Raises:
            LookupError: If there is none yet; `raisonne export guard` writes one.
            ValueError: If it cannot be used, or none of `guard.trusted_keys` signed it.
            RuntimeError: If its encoder cannot be loaded.
        """
        return guards.of_warehouse(self._settings)

    def decide(self, decisions: str | Path | Iterable[Mapping[str, object]], by: str | None = None) -> int:
        """Keep decisions about pictures, all or none; the next run takes them up. Returns how many were new.

        Args:
            decisions: Records, or a file of them: CSV, Parquet or JSON lines, as `raisonne review --import` takes it.
                Answers of the guard's service that decide about no image are left out, with a warning.
            by: Who decided, where a record does not say so.

        Raises:
            ValueError: If a record is no decision; the message names it, and what is wrong with it.
            OSError: If the file cannot be read, or the decisions cannot be kept.
        """
        from orchestration.facts.decision_log import DecisionLog
        from orchestration.review import exchange

        def leave_out(why: str) -> None:
            warnings.warn(f"an answer was left out: {why}", stacklevel=3)

        if isinstance(decisions, str | Path):
            found = exchange.read(Path(decisions), self._settings.limits.of_files, self.connection, by, leave_out)
        else:
            found = exchange.of_records(enumerate(decisions, 1), self.connection, by, leave_out=leave_out)
        return DecisionLog(self.home).add(found)

    def decisions(self) -> pa.Table:
        """Return every decision that people gave until now, also those that no version was made with yet."""
        from orchestration.facts import SCHEMAS
        from orchestration.facts.decision_log import DecisionLog

        return pa.Table.from_pylist([each.as_dict() for each in DecisionLog(self.home).all()], SCHEMAS["decisions"])

    def versions(self) -> duckdb.DuckDBPyRelation:
        """Return every version up to this one: when it was published, and from which facts, encoders and settings."""
        return self.sql("from warehouse.versions order by version")

    def close(self) -> None:
        """Close the connection. Relations that were not read yet end with it."""
        self.connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Warehouse {self._lake or self.home}, version {self.version}>"

    def _embeddings(self) -> "lance.LanceDataset":
        import lance

        [(version,)] = self.connection.execute(_EMBEDDINGS).fetchall()
        return lance.dataset(str(self.home / "facts" / "copy_embeddings.lance"), version=version)

    def _vector(self, image: Image | Vector) -> npt.NDArray[np.float32]:
        if not isinstance(image, str | Path | bytes) and np.ndim(image) == 1:
            return np.asarray(image, np.float32)
        from transforms.fingerprints import embeddings

        return embeddings.embed(self._encoder, [self._pixels(image)])[0]

    @cached_property
    def _encoder(self) -> "Encoder":
        """The copy encoder, loaded once. Raises EncoderUnavailable, or EncoderMismatch if it is not the warehouse's."""
        from transforms import encoders

        name = self._settings.encoders.by_purpose.get("copy")
        if name is None:
            raise encoders.EncoderUnavailable("encoders.copy is none: this warehouse has no embeddings to compare with")
        encoder = encoders.load(name, self._settings.encoders.device)
        [(stored,)] = self.connection.execute(_ENCODERS).fetchall()
        if str(encoder.id) not in stored:
            raise encoders.EncoderMismatch(
                f"the settings name {encoder.id}, the warehouse holds vectors of {', '.join(stored) or 'none'}; "
                "open it by its raisonne.toml"
            )
        return encoder

    def _pixels(self, image: Image | Vector) -> Pixels:
        if isinstance(image, str | Path | bytes):
            data = image if isinstance(image, bytes) else Path(image).read_bytes()
            return pictures.decode(data, self._settings.limits.bounds)
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"pixels must be uint8 of shape (height, width, 3), not {pixels.dtype} of {pixels.shape}")
        return pixels


def _settings_of(home: Path) -> Settings:
    """Return the settings of a warehouse: those in force here if they name it, else the defaults."""
    here = toml.in_force()
    if here.home.resolve() == home.resolve():
        return here
    return Settings().model_copy(update={"home": home.resolve()})
