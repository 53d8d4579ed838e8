"""The end of the UI by a signal, where the exception that the signal raises is lost."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

from orchestration.runtime.dagster_ui import EndSignal, EndSignals


@pytest.fixture
def ending() -> Iterator[EndSignals]:
    found, made = signal.getsignal(signal.SIGTERM), EndSignals()
    signal.signal(signal.SIGTERM, made.handle)
    yield made
    signal.signal(signal.SIGTERM, found)


def test_a_signal_counts_also_where_its_exception_is_lost(ending: EndSignals, monkeypatch: pytest.MonkeyPatch) -> None:
    class Forgotten:
        def __del__(self) -> None:
            os.kill(os.getpid(), signal.SIGTERM)  # Python prints and drops what a finalizer raises
            while not lost:
                pass

    lost: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda said: lost.append(said.exc_type))
    ending.require_none()
    made = Forgotten()
    del made
    assert lost == [EndSignal]
    with pytest.raises(EndSignal):
        ending.require_none()
