"""`raisonne download`: fetch the pictures of metadata that came without them.

What belongs here: arguments and the exit code. What does not: downloading (`catalog/download/`).
"""

import os
from pathlib import Path

import click

from orchestration.cli.published import CONFIG, CommandError, ExitCode, load_settings


@click.command(short_help="Fetch the pictures of metadata.", epilog="Example: raisonne download laion-2b --threads 128")
@click.argument("datasets", nargs=-1)
@click.option("--timeout", type=click.IntRange(1), default=10, show_default=True, help="Seconds without data.")
@click.option("--retries", type=click.IntRange(0), default=1, show_default=True, help="Further tries of a failed row.")
@click.option("--processes", type=click.IntRange(1), help="Processes. Default: one a core.")
@click.option("--threads", type=click.IntRange(1), default=64, show_default=True, help="Threads of each process.")
@click.option("--shard-rows", type=click.IntRange(1), default=10_000, show_default=True, help="Rows of each tar.")
@CONFIG
def download(
    datasets: tuple[str, ...],
    timeout: int,
    retries: int,
    processes: int | None,
    threads: int,
    shard_rows: int,
    config: str | None,
) -> None:
    """Fetch the pictures of DATASETS with img2dataset. Default: all that have `download` in the settings.

    Pictures that are fetched already are not requested again. Failed rows are counted by reason.
    """
    settings = load_settings(config)
    from orchestration import progress
    from orchestration.catalog.download import download as downloads
    from orchestration.catalog.download.fetch_worker import AnswerLimits
    from orchestration.runtime import full_disks
    from transforms.catalog.columns import LandingError

    cores = len(os.sched_getaffinity(0))
    pace = downloads.FetchPace(timeout, retries, processes or cores, threads, shard_rows)
    limits = AnswerLimits(member_bytes=settings.limits.member_bytes, **settings.download.model_dump())
    try:
        for dataset in downloads.downloadable(settings, datasets):
            with progress.display():
                outcome = downloads.fetch(dataset, pace, limits, settings.limits.of_files)
            click.echo("\n".join(downloads.sentences(dataset, outcome)))
    except LookupError as error:
        raise CommandError(error.args[0], ExitCode.USAGE) from None
    except (downloads.DownloadError, LandingError, OSError) as error:
        told = (
            f"{error.filename or 'download'}: {error.strerror or error}" if isinstance(error, OSError) else str(error)
        )
        places = {Path(dataset.download or ""): "point `download`"}
        raise CommandError(full_disks.explained(str(error), places) or told) from None
