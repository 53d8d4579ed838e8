"""Hosts by the domain that somebody registered, whatever a URL may name."""

import socket

import pytest

from transforms.reports.registrable_domains import registrable_domains, snapshot


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("img7.photos.example.co.uk", "example.co.uk"),
        ("example.co.uk.", "example.co.uk"),
        ("me.github.io", "me.github.io"),
        ("github.io", "github.io"),
        ("localhost", "localhost"),
        ("10.0.0.1", "10.0.0.1"),
        ("[2001", "[2001"),
        ("bücher.straße.de", "xn--strae-oqa.de"),
        ("xn--bcher-kva.example.de", "example.de"),
        ("a..b.example.org", "a..b.example.org"),
        ("ü" * 300 + ".org", "ü" * 300 + ".org"),
        (".", ""),
    ],
)
def test_a_host_stands_for_its_domain_and_without_one_for_itself(host: str, domain: str) -> None:
    assert registrable_domains([host]) == [domain]


def test_the_list_is_read_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    assert registrable_domains(["a.b.example.com", "c.d.example.jp"]) == ["example.com", "example.jp"]
    assert snapshot().startswith("publicsuffixlist ")
