"""Downloading the pictures of metadata that came without them, by img2dataset in separate processes.

What belongs here: choosing datasets, one download at a time, running or stopping img2dataset, and counting its results.
What does not: its input and when a shard is done (`catalog/download/url_lists.py`), how one URL is requested
(`catalog/download/fetch_worker.py`).
"""

import contextlib
import glob
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from orchestration import progress
from orchestration.catalog.download.fetch_worker import AnswerLimits
from orchestration.catalog.download.url_lists import WORK, UrlList, open_list
from orchestration.settings import Settings
from orchestration.settings.inputs import Dataset
from transforms.catalog import landing
from transforms.packages import installing
from transforms.readable import count
from transforms.storage.file_limits import ByteLimits

_POLL_S = 0.25
_REASONS = 10
_QUIET = {"NO_ALBUMENTATIONS_UPDATE": "1", "WANDB_MODE": "disabled"}


class DownloadError(Exception):
    """Pictures could not be downloaded; the message says why and what to do."""


@dataclass(frozen=True)
class FetchPace:
    """How img2dataset sends requests.

    Attributes:
        timeout_s: Seconds of silence after which a row fails.
        retries: Further tries of a failed row.
        processes: Of img2dataset.
        threads: Of each process.
        shard_rows: Rows of a tar. A list that was begun keeps its number.
    """

    timeout_s: int
    retries: int
    processes: int
    threads: int
    shard_rows: int


@dataclass(frozen=True)
class Outcome:
    """The result of a dataset's download.

    Attributes:
        requested: Rows requested in this run.
        downloaded: Rows with a picture, from this run or an earlier one.
        failures: Rows without a picture, by reason.
    """

    requested: int
    downloaded: int
    failures: Counter[str]


def downloadable(settings: Settings, names: Sequence[str]) -> list[Dataset]:
    """Return the datasets that have `download` in the settings.

    Args:
        settings: All settings.
        names: Datasets to return. Empty: all.

    Raises:
        LookupError: If a named dataset has no `download`. The message names the fix.
    """
    able = {dataset.name: dataset for dataset in settings.datasets if dataset.download}
    wrong = sorted(set(names) - able.keys())
    if wrong or not able:
        known = f"those that have: {', '.join(able)}" if able else "none has"
        whose = f"no dataset {', '.join(wrong)} has" if wrong else "no dataset has"
        raise LookupError(f'{whose} `download` in the settings ({known}); add download = "FOLDER" beside its metadata')
    return [able[name] for name in (dict.fromkeys(names) or able)]


def fetch(dataset: Dataset, pace: FetchPace, limits: AnswerLimits, files: ByteLimits) -> Outcome:
    """Download the missing pictures of every metadata file of a dataset, and count the rows that fail.

    Args:
        dataset: The dataset.
        pace: How img2dataset asks.
        limits: What is taken from a server.
        files: Limits of the metadata files.

    Raises:
        DownloadError: If img2dataset is missing or fails, another download writes to the same folder, or the settings
            do not let it use the proxies of the environment.
        LandingError: If a metadata file cannot be used.
    """
    if importlib.util.find_spec("img2dataset") is None:
        raise DownloadError(f"img2dataset is not installed; {installing('download')}")
    _refuse_proxies(limits)
    metadata, folder = _places(dataset)
    requested, lists = 0, []
    with _alone(folder):
        for shard in landing.find_shards(dataset.name, metadata, None):
            if shard.metadata is None:
                continue
            if Path(shard.metadata.path).is_relative_to(folder):
                raise DownloadError(f"{metadata} also finds what is downloaded into {folder}; narrow the glob")
            lists.append(open_list(folder, shard.name, shard.metadata, pace.shard_rows, files))
            requested += _complete(lists[-1], pace, limits)
        if not lists:
            raise DownloadError(f"no file matches {metadata}")
        return _outcome(requested, lists)


def sentences(dataset: Dataset, outcome: Outcome) -> list[str]:
    """Describe the result of a download in lines of text.

    Args:
        dataset: The dataset.
        outcome: What `fetch` returned. The most frequent reasons come first.
    """
    failed = outcome.failures.total()
    new = f"{count(outcome.requested, 'row')} requested" if outcome.requested else "no row was left to request"
    lines = [f"{dataset.name}: {new}; {outcome.downloaded} of {outcome.downloaded + failed} pictures downloaded"]
    top = outcome.failures.most_common(_REASONS)
    lines += [f"{rows:>10}  {''.join(c if c.isprintable() else ' ' for c in reason)[:200]}" for reason, rows in top]
    if rest := failed - sum(rows for _, rows in top):
        lines.append(f"{rest:>10}  for {count(len(outcome.failures) - len(top), 'other reason')}")
    return lines


def _refuse_proxies(limits: AnswerLimits) -> None:
    proxies = {kind: url for kind, url in urllib.request.getproxies().items() if kind in {"http", "https"}}
    if not limits.proxy and proxies:
        raise DownloadError(
            f"{min(proxies)}_proxy is set in the environment, and a proxy connects by itself. If it refuses addresses "
            "inside your network, set download.proxy = true; else unset it for this command"
        )
    if tls := sorted(kind for kind, url in proxies.items() if not url.startswith("http://") and "://" in url):
        raise DownloadError(f"{tls[0]}_proxy is not an http:// proxy, and only these are used; change or unset it")


def _places(dataset: Dataset) -> tuple[str, Path]:
    metadata, folder = dataset.metadata or "", dataset.download or ""
    if "://" in folder or glob.has_magic(folder):
        raise DownloadError(f"download = {folder!r}: pictures go to a folder on disk, without any of *?[ in its path")
    return metadata, Path(folder)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    work = folder / WORK
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / "lock", timeout=0):
            yield
    except Timeout:
        raise DownloadError(f"another download writes to {folder}; wait until it ends") from None


def _complete(urls: UrlList, pace: FetchPace, limits: AnswerLimits) -> int:
    # returns how many rows were requested
    there = urls.finish()
    missing = urls.rows - sum(there.values())
    if not missing:
        return 0
    with contextlib.closing(_img2dataset(urls, pace, limits)) as finished:
        done = sum(progress.track(finished, f"download {urls.name}", missing, size=lambda rows: rows))
    if done < missing:
        raise DownloadError(
            f"img2dataset did not request {missing - done} of {count(urls.rows, 'row')} of {urls.name}; run this "
            f"again to continue. Its last lines:\n{_last_lines(urls.log)}"
        )
    urls.drop_others()
    return missing


def _img2dataset(urls: UrlList, pace: FetchPace, limits: AnswerLimits) -> Generator[int]:
    # yields the rows that were finished since the last time, until img2dataset ends; closing it ends img2dataset
    job = {"limits": asdict(limits), "options": _options(urls, pace)}
    with urls.log.open("wb") as log:
        child = subprocess.Popen(  # noqa: S603 -- this Python, our module
            [sys.executable, "-P", "-m", "orchestration.catalog.download.fetch_worker", json.dumps(job)],
            stdin=subprocess.PIPE,  # never written to: its end tells the child that we have ended
            stdout=log,
            stderr=subprocess.STDOUT,
            env=os.environ | _QUIET,
            start_new_session=True,
        )
    there = sum(urls.finish().values())
    try:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(_POLL_S)
            ended, before, there = child.returncode is not None, there, sum(urls.finish().values())
            yield there - before
            if ended:
                return
    finally:
        if child.returncode != 0:  # its workers outlive it where it was killed
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
        child.communicate()


def _options(urls: UrlList, pace: FetchPace) -> dict[str, Any]:
    return {
        "url_list": str(urls.path),
        "input_format": "parquet",
        "url_col": "url",
        "caption_col": "caption",
        "save_additional_columns": urls.others,
        "output_folder": str(urls.work_folder),
        "output_format": "webdataset",
        "number_sample_per_shard": urls.shard_rows,
        "processes_count": pace.processes,
        "thread_count": pace.threads,
        "timeout": pace.timeout_s,
        "retries": pace.retries,
        "disable_all_reencoding": True,  # the bytes as they were served: skip_reencode keeps only those of JPEGs
        "extract_exif": False,
        "compute_hash": "sha256",
        "incremental_mode": "incremental",
        "user_agent_token": "img2dataset",  # sites can then say no to it by its name
        "enable_wandb": False,
    }


def _last_lines(log: Path) -> str:
    lines = re.split(r"[\r\n]+", log.read_text(errors="replace"))
    return "\n".join("".join(c for c in line if c.isprintable()) for line in lines[-6:] if line.strip())


def _outcome(requested: int, lists: Sequence[UrlList]) -> Outcome:
    downloaded, failures = 0, Counter[str]()
    for urls in lists:
        for name in urls.shards:
            table = pq.read_table(urls.target / f"{name}.parquet", columns=["status", "error_message"])
            for row in table.group_by(["status", "error_message"]).aggregate([([], "count_all")]).to_pylist():
                if row["status"] == "success":
                    downloaded += row["count_all"]
                else:
                    failures[row["error_message"] or row["status"]] += row["count_all"]
    return Outcome(requested, downloaded, failures)
