"""`make demo`: the sample against its planted truth, then the laboratory's kept samples against their training set.

What belongs here: the order. What does not: the sample's promises (`check_truth.py`), the laboratory (`tests/lab`).
Both runs are in this one process, with the faster storage of Dagster's records: where nothing is due, importing and
recording take longer than all else.
"""

import sys

from data import check_truth
from orchestration.cli.main import main as raisonne
from orchestration.cli.published import load_settings
from orchestration.runtime import instance
from tests.lab.__main__ import main as laboratory


def main() -> int:
    """Show both. Returns the exit code of the first part that fails."""
    instance.choose_fast_storage(load_settings(None).home)
    try:
        raisonne(["run"], "raisonne")
    except SystemExit as ended:
        if ended.code:
            return int(ended.code)
    return check_truth.main(check_truth.PUBLISHED) or laboratory(["demo"])


if __name__ == "__main__":
    sys.exit(main())
