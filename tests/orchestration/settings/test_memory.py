"""The memory that a run may take follows from the machine or one setting; what else is set stays as it is."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from orchestration.settings import Settings
from orchestration.settings.memory import MemoryParts, machine_memory

MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def parts(**sections: object) -> MemoryParts:
    return Settings.model_validate(sections).memory


def test_without_a_setting_a_run_takes_a_third_of_the_machine() -> None:
    assert parts() == parts(limits={"memory": machine_memory() // 3})


def test_one_setting_is_shared_out() -> None:
    found = parts(limits={"memory": "8 GB"})
    assert found == MemoryParts(8_000_000_000, 2_000_000_000, 2_000_000_000, "4000MB")
    assert str(found) == "2.0 GB for pictures, 2.0 GB for a join, 4000MB for DuckDB"
    assert parts(limits={"memory": "256 MB"}) == MemoryParts(256_000_000, 64_000_000, 64_000_000, "128MB")


def test_parts_that_are_set_stay() -> None:
    found = parts(limits={"memory": "8 GB", "duckdb_memory": "1GiB"}, joins={"memory": "3 GB"})
    assert found == MemoryParts(8_000_000_000, 2_000_000_000, 3_000_000_000, "1GiB")
    assert [each.of_duckdb(0.5) for each in (found, replace(found, duckdb="1.5 TB"))] == ["536MB", "750000MB"]


def test_a_second_database_gets_what_it_cannot_do_without() -> None:
    assert [parts(limits={"memory": "256 MB"}).of_duckdb(share) for share in (0.25, 0.75)] == ["64MB", "96MB"]


@pytest.mark.parametrize(
    ("group", "limits", "least"),
    [
        ("0::/run/one", {"memory.max": "max", "run/memory.max": "50000", "run/one/memory.max": "70000"}, 50_000),
        ("0::/gone/in/this/container", {"memory.max": "60000"}, 60_000),
        (
            "4:cpu,memory:/a\n1:name=systemd:/b",
            {"memory/a/memory.limit_in_bytes": "40000", "b/memory.max": "1"},
            40_000,
        ),
        ("0::/", {"memory/memory.limit_in_bytes": str(2**63 - 4096)}, MACHINE),
        ("", {}, MACHINE),
    ],
)
def test_the_least_limit_of_the_control_groups_counts(
    group: str, limits: dict[str, str], least: int, tmp_path: Path
) -> None:
    files = {"proc/self/cgroup": group} | {f"sys/fs/cgroup/{name}": value for name, value in limits.items()}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{text}\n")
    assert machine_memory(tmp_path) == least


def test_without_proc_the_machine_counts(tmp_path: Path) -> None:
    assert machine_memory(tmp_path) == MACHINE
