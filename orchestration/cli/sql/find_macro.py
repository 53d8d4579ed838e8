"""The macro `find`, which searches the semantic embeddings by words in SQL.

What belongs here: the macro and the function that it calls. What does not: searching
(`provenance/meaning/finder.py`), macros in the published file (`warehouse/macros.py`), which has no encoder.

The function runs in this process and is handed words and a count. A query with it can reach nothing else.
"""

import re

import duckdb

from orchestration.cli.sql.nearest_macro import NoEmbeddings
from orchestration.settings import Settings

_ASKED = re.compile(r'\bfind"?\s*\(', re.I)
_FUNCTION = "nearest_to_words"
_FIND = f"""
create or replace temp macro find(words, k := 20) as table
select hit.sample_id, hit.cosine, dataset, url, caption, license, recalled, cluster_id
from (select unnest({_FUNCTION}(words::varchar, k::integer)) as hit)
join catalog.samples on samples.sample_id = hit.sample_id
left join duplicates.clusters on clusters.sample_id = hit.sample_id
order by hit.cosine desc, hit.sample_id"""  # noqa: S608 -- our own name


def is_asked(text: str) -> bool:
    """Return whether a query uses `find`. The encoder takes seconds to load, so other queries do without."""
    return bool(_ASKED.search(text))


def provide(con: duckdb.DuckDBPyConnection, settings: Settings) -> None:
    """Create `find(words, k := 20)` over the semantic embeddings, with the encoder loaded.

    Args:
        con: An open database.
        settings: Of the warehouse.

    Raises:
        NoEmbeddings: If nothing is embedded by meaning, the encoder cannot be had, or it is not the version's.
    """
    from orchestration.compute import named_encoders
    from orchestration.provenance.meaning.finder import Finder, NotSearchable
    from transforms.encoders import EncoderMismatch, EncoderUnavailable

    try:
        finder = Finder(con, settings, named_encoders.loader(settings.encoders.device), hold=True)
        finder.prepare()  # with the connection, which the function may not use while a query runs
    except (NotSearchable, EncoderUnavailable, EncoderMismatch) as error:
        raise NoEmbeddings(f"find() asks the embeddings of meaning: {error}") from None

    def nearest(words: str, k: int) -> list[dict[str, object]]:
        return finder.nearest(finder.of_words(words), max(k, 0)).hits.to_pylist()

    hits = duckdb.list_type(duckdb.struct_type({"sample_id": "UBIGINT", "cosine": "DOUBLE"}))
    con.create_function(_FUNCTION, nearest, ["VARCHAR", "INTEGER"], hits)
    con.execute(_FIND)
