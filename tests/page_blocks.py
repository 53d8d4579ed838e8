"""The code blocks of the documentation, and running them in a folder that looks like a clone after `make demo`.

A comment on the line before a block says what a test has to know, and readers of the site do not see:

    <!-- not run: WHY -->     it cannot run here; its commands are still held against the command line and the Makefile
    <!-- runs on -->          it does not end by itself; the next blocks use it
    <!-- needs: MODULE -->    it runs where that module is there
    <!-- long: WHY -->        it runs where thorough tests run; no block of another kind needs what it leaves
    <!-- no rows: WHY -->     it runs, and the sample has nothing to answer
    <!-- file: NAME -->       it is the content of a file, which the next blocks use

`python -m tests.page_blocks` lists the blocks that are not run; a block whose language is not named is one of them.

What belongs here: finding blocks, and the folder in which they run. What does not: what they must show
(`tests/test_pages.py`).
"""

import re
import shlex
import shutil
import signal
import socket
import subprocess
import tarfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import pyarrow.parquet as pq

from tests import processes
from tests.conftest import PATIENCE_S, ROOT, Landing, _records
from tests.forked_command import FRESH, ForkedCommand

GENERATED = {f"docs/reference/{name}.md" for name in ("commands", "facts", "files", "settings", "tables")}
PAGES = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md"))
    if str(path.relative_to(ROOT)) not in GENERATED
)
_FENCE = re.compile(r"^```(?P<language>\w*)$")
_MARK = re.compile(r"^<!-- (?P<kind>not run|runs on|needs|file|long|no rows)(?:: (?P<about>.+))? -->$")
_PORT = "8080"
_ROWS = 12
_INNOCENT = "0013.png"  # drawn after no training picture
STUDENT = "sscd_distilled"
_SMALL = {
    "RAISONNE_ENCODERS__COPY": STUDENT,
    "RAISONNE_LIMITS__NULL_SAMPLE": "3",
    "RAISONNE_CALIBRATION__TRIALS": "1",
}
"""Settings of runs that a page starts itself: what is shown does not depend on them, and they take a third as long."""


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: Its page, below the repository's root.
        line: The number of its first line.
        language: The word behind the fence.
        text: What is in it.
        mark: The kind of the comment before it; empty without one.
        about: What that comment says.
        shown: The rows of the table that follows it, cell by cell, the head first.
    """

    page: str
    line: int
    language: str
    text: str
    mark: str = ""
    about: str = ""
    shown: tuple[tuple[str, ...], ...] = ()

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def lacking(self) -> bool:
        """Whether it needs a module that is not there."""
        return self.mark == "needs" and find_spec(self.about) is None

    @property
    def commands(self) -> list[tuple[str, str, list[str]]]:
        """What a reader types, what a program then reads, and what the page says that it prints."""
        if self.language == "sh":
            return [(self.text, "", [])]
        if self.language != "console":
            return []
        parts: list[tuple[str, str, list[str]]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                parts.append((line.removeprefix("$ "), "", []))
            elif line.startswith("raisonne> "):
                command, typed, said = parts.pop()
                parts.append((command, f"{typed}{line.removeprefix('raisonne> ')}\n", said))
            else:
                parts[-1][2].append(line)
        return parts

    def invocations(self) -> Iterator[list[str]]:
        """Yield the words of every command in it, without assignments before it and redirections behind it."""
        for command in _commands("\n".join(command for command, _, _ in self.commands)):
            tokens = shlex.shlex(command, posix=True, punctuation_chars=True)
            tokens.whitespace_split = True
            words: list[str] = []
            for token in [*tokens, ";"]:
                if not set(token) <= set("|&;<>"):
                    words.append(token)
                    continue
                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words = words[1:]
                if words:
                    yield words
                words = []


def _commands(text: str) -> Iterator[str]:
    """Yield the commands of a script: a line each, or several where a quotation or a backslash goes on."""
    begun = ""
    for line in text.splitlines():
        begun += line.removesuffix("\\") + ("" if line.endswith("\\") else "\n")
        try:
            words = shlex.split(begun, comments=True)
        except ValueError:  # a quotation is open
            continue
        if words and not line.endswith("\\"):
            yield begun
            begun = ""


def _land(shard: Path, folder: Path) -> None:
    """Land the first rows of a shard with their pictures."""
    pq.write_table(pq.read_table(f"{shard}.parquet").slice(0, _ROWS), folder / "00000.parquet")
    with tarfile.open(f"{shard}.tar") as source, tarfile.open(folder / "00000.tar", "w") as landed:
        for member in source:
            if int(member.name.partition(".")[0]) % 10_000 < _ROWS:
                landed.addfile(member, source.extractfile(member))


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, in order."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    found: list[Block] = []
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if not opened:
            assert not lines[number].lstrip().startswith("```"), f"{page}:{number + 1}: fence not at the margin"
            number += 1
            continue
        end = lines.index("```", number + 1)
        mark = _MARK.match(lines[number - 1])
        found.append(
            Block(
                page,
                number + 1,
                opened["language"],
                "\n".join(lines[number + 1 : end]) + "\n",
                mark["kind"] if mark else "",
                (mark["about"] or "") if mark else "",
                _table(lines[end + 1 :]),
            )
        )
        number = end + 1
    return found


def _table(lines: list[str]) -> tuple[tuple[str, ...], ...]:
    """Return the table with which these lines begin, without the line below its head."""
    rows = []
    for line in lines[1:] if lines[:1] == [""] else lines:
        if not line.startswith("|"):
            break
        rows.append(tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]))
    return tuple(row for row in rows if not set("".join(row)) <= set("- "))


@dataclass
class Clone:
    """A folder like a clone after `make demo`: the sample and its warehouse, the command, some files of one's own."""

    folder: Path
    environment: dict[str, str]
    port: str
    program: ForkedCommand
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @classmethod
    def make(cls, folder: Path, sample: Landing, page: list[Block]) -> Self:
        """Lay the folder out.

        Args:
            folder: An empty one.
            sample: The sample's run.
            page: The blocks that will run in it.
        """
        binaries = folder / ".venv" / "bin"
        binaries.mkdir(parents=True)
        (binaries / "activate").touch()
        shutil.copy(ROOT / "raisonne.toml", folder)
        (folder / "data").mkdir()
        (folder / "data" / "sample").symlink_to(ROOT / "data" / "sample")
        (folder / "data" / "warehouse").symlink_to(sample.home)
        for name in ("relaion", "generations", "out"):
            (folder / name).mkdir()
        _land(ROOT / "data" / "sample" / "laion" / "00003", folder / "relaion")
        generations = ROOT / "data" / "sample" / "generations"
        for name in ("0006.jpg", "0007.jpg"):
            shutil.copy(generations / name, folder / "generations")
        shutil.copy(generations / _INNOCENT, folder / "out" / "0007.png")
        kept = processes.environment()
        path = f"{binaries}:{kept['PATH']}"
        own = {"PATH": path, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / ".state")}
        if any(words[:2] == ["raisonne", "run"] for block in page if not block.mark for words in block.invocations()):
            own |= _SMALL
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return cls(folder, kept | own, str(free.getsockname()[1]), ForkedCommand(binaries / "raisonne"))

    def write(self, name: str, text: str) -> None:
        """Write a file that a page shows; settings that are there must say the same. Their homes get faster records."""
        path = self.folder / name
        told = tomllib.loads(text) if path.suffix == ".toml" else {}
        if path.exists():
            assert tomllib.loads(path.read_text(encoding="utf-8")) == told, f"{name} says something else"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        if told.get("home") and not (self.folder / told["home"]).exists():
            shutil.copytree(_records(), self.folder / told["home"] / "dagster")

    def run(self, command: str, typed: str) -> subprocess.CompletedProcess[str]:
        """Run what a reader types, to its end; a line that fails ends it.

        Args:
            command: Lines for a shell.
            typed: What is typed into the program.
        """
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", command.replace(_PORT, self.port)],
            cwd=self.folder,
            env=self.environment,
            input=typed,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )

    def start(self, command: str) -> None:
        """Start what does not end by itself, and wait until it listens."""
        words = shlex.split(command.replace(_PORT, self.port))
        environment = self.environment | {FRESH: "1"}
        process = subprocess.Popen(
            words, cwd=self.folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.running.append(process)
        end = time.monotonic() + PATIENCE_S
        while process.poll() is None:
            with socket.socket() as asked:
                if asked.connect_ex(("127.0.0.1", int(self.port))) == 0:
                    return
            assert time.monotonic() < end, f"it never listened on port {self.port}: {command}"
            time.sleep(0.1)
        raise AssertionError(f"it ended with {process.returncode} instead of listening: {command}")

    def __enter__(self) -> Self:
        self.program.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """End what still runs."""
        self.program.__exit__()
        for process in self.running:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_S)


if __name__ == "__main__":
    for each in (block for page in PAGES for block in blocks(page)):
        if each.mark == "not run" or not each.language:
            print(f"{each}: {each.about or 'its language is not named'}")
