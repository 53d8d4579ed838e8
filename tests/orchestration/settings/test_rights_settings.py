"""How rights are read and honoured: what the settings refuse, and what changes which recipes."""

from pathlib import Path

import pytest

from orchestration import settings
from orchestration.catalog import opt_outs
from orchestration.facts import Facts
from orchestration.fingerprints.makers import Makers
from orchestration.runtime.resources import rights_of
from orchestration.settings import Settings, SettingsError
from orchestration.settings.sections import Policies, Rights
from transforms.fingerprints.fingerprint import Rules
from transforms.fingerprints.shard import RightsReading
from transforms.pictures.rights import manifests

_RULES = Rules(max_pixels=1, member_bytes=1, pdq_quality=50)
_CERTIFICATE = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"


def test_manifests_are_honoured_only_where_they_are_read(tmp_path: Path) -> None:
    config = tmp_path / "raisonne.toml"
    config.write_text('[policies]\nhonour = ["plus", "c2pa"]\n')
    with pytest.raises(SettingsError, match=r"`policies\.honour` names c2pa, .*; set `rights\.c2pa = true`"):
        settings.load(config)
    config.write_text('[policies]\nhonour = ["c2pa", "plus", "c2pa"]\n[rights]\nc2pa = true\nanchors = ["list.pem"]\n')
    chosen = settings.load(config)
    assert chosen.policies.honour == ("c2pa", "plus") and chosen.rights.anchors == (str(tmp_path / "list.pem"),)
    config.write_text('[policies]\nhonour = ["robots"]\n')
    with pytest.raises(SettingsError, match=r"policies\.honour\.0"):
        settings.load(config)


def test_certificates_are_read_and_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rights_of(Settings()) == RightsReading()
    place = tmp_path / "list.pem"
    chosen = Settings(rights=Rights(c2pa=True, anchors=(str(place),)))
    monkeypatch.setattr(manifests, "is_installed", lambda: True)
    with pytest.raises(SettingsError, match=r"`rights\.anchors`: .*list\.pem cannot be read"):
        rights_of(chosen)
    place.write_text("no certificate")
    with pytest.raises(SettingsError, match=r"list\.pem holds no certificate in PEM"):
        rights_of(chosen)
    place.write_text(_CERTIFICATE)
    assert rights_of(chosen) == RightsReading(verify=True, anchors=_CERTIFICATE)
    monkeypatch.setattr(manifests, "is_installed", lambda: False)
    with pytest.raises(SettingsError, match=r"`rights\.c2pa` needs a library that is not installed: pip install"):
        rights_of(chosen)


def test_how_rights_are_read_changes_no_recipe_of_hashes() -> None:
    def digests(reading: RightsReading) -> dict[str, str]:
        return Makers(_RULES, {}, NotImplemented, reading).digests()

    plain, verified = digests(RightsReading()), digests(RightsReading(verify=True))
    assert {kind for kind in plain if plain[kind] != verified[kind]} == {"rights"}
    assert digests(RightsReading(anchors=_CERTIFICATE)) == plain, "nobody looks at them"
    assert digests(RightsReading(verify=True, anchors=_CERTIFICATE))["rights"] not in (
        plain["rights"],
        verified["rights"],
    )


def test_what_is_honoured_changes_a_recipe_only_where_something_is(tmp_path: Path) -> None:
    facts = Facts(tmp_path / "facts")
    plain = Settings(home=tmp_path)
    opt_outs.update_recalled_rows(facts, plain, [])
    silent = Settings(home=tmp_path, policies=Policies(honour_copies=True))
    assert opt_outs.is_current(facts, silent, []), "copies of nothing"
    assert not opt_outs.is_current(facts, Settings(home=tmp_path, policies=Policies(honour=("plus",))), [])
    assert silent.settings_hash == plain.settings_hash
