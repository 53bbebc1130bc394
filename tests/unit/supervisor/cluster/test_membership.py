"""A box's place in a cluster: who is let in, by what, and what is left of it."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest

from ipc import cluster
from ipc.cluster import Member
from supervisor.cluster.bundle import Bundle, BundleError, as_text, from_text

BUNDLE = Bundle(head="127.0.0.2", port=6380, token="a" * 64, certificate=b"PEM", key=b"KEY")


def member(address: str = "127.0.0.2") -> Member:
    return Member(
        address=address, head="127.0.0.2", port=6380, memory_mb=1000, models_dir="/models"
    )


def test_a_bundle_is_one_line_and_comes_back_whole() -> None:
    text = as_text(BUNDLE)
    assert len(text.split()) == 1
    assert from_text(text) == BUNDLE


def test_a_terminal_may_break_it_into_lines() -> None:
    text = as_text(BUNDLE)
    assert from_text(f"  {text[:40]}\n{text[40:]}\r\n") == BUNDLE


@pytest.mark.parametrize("text", ["", "hello", "edge-serve-cluster-1:", "edge-serve-cluster-1:%%%"])
def test_what_is_no_bundle_is_said_to_be_none(text: str) -> None:
    with pytest.raises(BundleError):
        from_text(text)


def test_a_part_of_one_is_none() -> None:
    with pytest.raises(BundleError, match="not whole"):
        from_text(as_text(BUNDLE)[:-9])


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "box", "::1", "10.0.0", ""])
def test_an_address_that_others_cannot_use_is_refused(address: str) -> None:
    membership = pytest.importorskip("supervisor.cluster.membership")
    with pytest.raises(ValueError, match="set the one"):
        membership.check_address(address)


def test_ray_is_never_started_without_a_token_and_tls(tmp_path: Path) -> None:
    told = cluster.environment(tmp_path, member())
    assert (told["RAY_AUTH_MODE"], told["RAY_USE_TLS"]) == ("token", "1")
    assert told["RAY_AUTH_TOKEN_PATH"] == str(tmp_path / "token")


def test_only_the_first_box_keeps_what_the_control_service_knows(tmp_path: Path) -> None:
    assert member().is_head
    assert not member("127.0.0.3").is_head
    assert "RAY_gcs_storage" not in cluster.environment(tmp_path, member())
    assert cluster.store_environment(tmp_path)["RAY_gcs_storage"] == "rocksdb"


def test_ray_s_sockets_have_short_paths() -> None:
    longest = member("255.255.255.255").temp_dir / "session_2026-11-28_06-22-07_128115_4194304"
    assert len(str(longest / "sockets" / "plasma_store.12")) < 107


def test_whoever_founds_a_cluster_lets_others_in(tmp_path: Path) -> None:
    membership = pytest.importorskip("supervisor.cluster.membership")
    x509 = pytest.importorskip("cryptography.x509")
    bundle = membership.found(tmp_path / "a", member())
    there = member("127.0.0.3")
    membership.enter(tmp_path / "b", there, from_text(as_text(bundle)))
    assert cluster.read(tmp_path / "b") == there
    assert (tmp_path / "a" / "token").read_text() == (tmp_path / "b" / "token").read_text()
    own = x509.load_pem_x509_certificate((tmp_path / "b" / "box.pem").read_bytes())
    authority = x509.load_pem_x509_certificate((tmp_path / "b" / "ca.pem").read_bytes())
    own.verify_directly_issued_by(authority)
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert ipaddress.ip_address("127.0.0.3") in names.get_values_for_type(x509.IPAddress)
    assert not list((tmp_path / "b").glob("*ca*key*"))  # a joined box makes no others


def test_what_it_keeps_is_for_its_owner_alone(tmp_path: Path) -> None:
    membership = pytest.importorskip("supervisor.cluster.membership")
    membership.found(tmp_path / "a", member())
    assert {path.stat().st_mode & 0o077 for path in (tmp_path / "a").iterdir()} == {0}


def test_a_box_that_has_left_knows_nothing(tmp_path: Path) -> None:
    membership = pytest.importorskip("supervisor.cluster.membership")
    here = member("127.9.9.9")
    membership.found(tmp_path / "a", here)
    here.temp_dir.mkdir()
    membership.forget(tmp_path / "a", here)
    assert cluster.read(tmp_path / "a") is None
    assert not here.temp_dir.exists()
    assert not (tmp_path / "a").exists()
