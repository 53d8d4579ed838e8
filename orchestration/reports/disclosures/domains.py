"""The list of domains that pictures came from, by the bytes that came from each.

What belongs here: the hosts of the URLs, their registrable domains, and the list as CSV. What does not: which domain
belongs to a host (`transforms/reports/registrable_domains.py`), counting (`sql/queries/disclosures/`).

Rows are counted by host in DuckDB, which spills, and only the distinct hosts pass through Python, in batches.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from orchestration.reports.disclosures.answers import LISTED, Answers
from orchestration.reports.exports import write_csv
from orchestration.settings.disclosure import Disclosure
from transforms.reports.registrable_domains import registrable_domains

LIST, SAME = "domains.csv", "the same domains"
_SHARE, _SMALLER_SHARE, _SMALLER_MOST = 0.1, 0.05, 1_000
_BATCH = 50_000


@dataclass(frozen=True)
class DomainList:
    """The list, as tables of the connection that counted it.

    Attributes:
        datasets: The datasets whose URLs it covers.
        totals: How many domains it has and requires, and what these hold.
        largest: Its first rows.
    """

    datasets: tuple[str, ...]
    totals: dict[str, Any]
    largest: list[dict[str, Any]]


def required_share(disclosure: Disclosure) -> tuple[float, int | None]:
    """Return the share of all domains that the EU's template requires to be listed, and at most how many.

    Args:
        disclosure: It says whether the provider is a smaller one.
    """
    return (_SMALLER_SHARE, _SMALLER_MOST) if disclosure.smaller_provider else (_SHARE, None)


def count_domains(answers: Answers, datasets: tuple[str, ...]) -> DomainList:
    """Count rows and bytes by domain. The list is then a temporary table of the connection.

    Args:
        answers: The version, and what is recorded as asked.
        datasets: Names of the datasets whose URLs count.
    """
    con, chosen = answers.con, {"datasets": list(datasets)}
    con.execute(f"create or replace temp table hosts as {answers.asked('hosts', **chosen)}", chosen)
    _relate(con)
    share, most = required_share(answers.disclosure)
    values = {"share": share, "most": most}
    con.execute(f"create or replace temp table domains as {answers.asked('domains', **values)}", values)
    [totals] = answers.rows("domain_totals")
    return DomainList(datasets, totals, answers.rows("largest_domains", most=LISTED))


def changed_since(answers: Answers, file: Path) -> str:
    """Return in words which required domains are new since an earlier list, and which are gone.

    Args:
        answers: Of the version whose list was counted.
        file: The earlier list.

    Raises:
        duckdb.Error: If it is no such list.
    """
    found = answers.rows("changed_domains", file=str(file))
    told = [f"{row['domains']:,} {row['change']}, such as {', '.join(row['first'])}" for row in found]
    return "; ".join(told) or SAME


def write_list(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Write the list as CSV, the most bytes first, safe for spreadsheets.

    Args:
        con: The connection that counted it.
        path: The file.
    """
    write_csv(con, "domains", path)


def _relate(con: duckdb.DuckDBPyConnection) -> None:
    """Create the table `registered` with the registrable domain of each of `hosts`."""
    con.execute("create or replace temp table registered (host varchar, domain varchar)")
    [(count,)] = con.execute("select count(*) from hosts").fetchall()
    for first in range(0, count, _BATCH):
        found = con.execute("select host from hosts where rowid between ? and ?", [first, first + _BATCH - 1])
        hosts = [host for (host,) in found.fetchall()]
        con.register("arriving", pa.table({"host": hosts, "domain": registrable_domains(hosts)}))
        con.execute("insert into registered from arriving")
        con.unregister("arriving")
