"""Files of a model on another box: which are those that are sought, and which are given out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from ipc.cluster import Fetching, Sought
from worker.cluster import files
from worker.cluster.files import PIECE_BYTES, Kept, Manifest, Unfit, fetched, fits

WEIGHTS = b"w" * (PIECE_BYTES + 5)
CONTENT = {"model.gguf": WEIGHTS, "sub/config.json": b"{}"}
SOUGHT = Sought(folder="org--chat", source="hf:org/chat", variant="small")


def kept(content: bytes) -> Kept:
    return Kept(size=len(content), sha256=hashlib.sha256(content).hexdigest())


MANIFEST = Manifest(
    source=SOUGHT.source,
    variant=SOUGHT.variant,
    files={name: kept(content) for name, content in CONTENT.items()},
)


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The model's folder on the other box, which is asked without Ray."""
    place = tmp_path / "models" / SOUGHT.folder
    for name, content in CONTENT.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
    (place / "manifest.json").write_bytes(msgspec.json.encode(MANIFEST))
    monkeypatch.setenv(files.MODELS, str(tmp_path / "models"))

    def asked(act: Any, node: str, *words: Any) -> Any:
        assert node == "node"
        return act(*words)

    def streamed(node: str, folder: str, name: str) -> Iterator[bytes]:
        assert node == "node"
        return files._pieces(folder, name)

    monkeypatch.setattr(files, "_others", lambda _: [("127.0.0.3", "node")])
    monkeypatch.setattr(files, "_asked", asked)
    monkeypatch.setattr(files, "_streamed", streamed)
    return place


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    return tmp_path / "here"


def fetch(here: Path, sought: Sought = SOUGHT) -> dict[str, str]:
    return fetched(sought, here, "127.0.0.2", lambda _: None)


@pytest.mark.usefixtures("there")
def test_all_files_come_and_are_what_the_manifest_says(here: Path) -> None:
    assert fetch(here) == {name: one.sha256 for name, one in MANIFEST.files.items()}
    assert {name: (here / name).read_bytes() for name in CONTENT} == CONTENT


@pytest.mark.usefixtures("there")
def test_how_far_they_are_is_told(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "TOLD_S", -1.0)
    told: list[Fetching] = []
    fetched(SOUGHT, here, "127.0.0.2", told.append)
    size = sum(map(len, CONTENT.values()))
    assert [one.done for one in told] == [PIECE_BYTES, PIECE_BYTES + 5, size]
    assert {(one.size, one.peer) for one in told} == {(size, "127.0.0.3")}


@pytest.mark.parametrize("content", [b"[]", b"{", b"{} "])
def test_of_files_with_other_bytes_than_were_said_nothing_stays(
    there: Path, here: Path, content: bytes
) -> None:
    (there / "sub/config.json").write_bytes(content)
    assert fetch(here) == {}
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(
    "sought",
    [
        replace(SOUGHT, source="hf:org/another"),
        replace(SOUGHT, variant="large"),
        replace(SOUGHT, digests={"model.gguf": "0" * 64}),
        replace(SOUGHT, folder="org--another"),
    ],
)
@pytest.mark.usefixtures("there")
def test_files_of_something_else_are_not_taken(here: Path, sought: Sought) -> None:
    assert fetch(here, sought) == {}


def test_the_digests_that_a_catalog_has_are_kept_to() -> None:
    digests = {"model.gguf": MANIFEST.files["model.gguf"].sha256}
    assert fits(MANIFEST, replace(SOUGHT, digests=digests))


@pytest.mark.parametrize("name", ["/etc/passwd", "../another/model.gguf", "a/../../b"])
def test_a_name_that_leaves_its_folder_is_refused_on_both_sides(
    there: Path, here: Path, name: str
) -> None:
    wrong = Manifest(source=SOUGHT.source, variant=SOUGHT.variant, files={name: kept(b"")})
    (there / "manifest.json").write_bytes(msgspec.json.encode(wrong))
    assert fetch(here) == {}
    with pytest.raises(Unfit, match="has no file"):
        list(files._pieces(SOUGHT.folder, name))


@pytest.mark.parametrize("folder", ["..", ".cache", "a/b", "/etc", ""])
@pytest.mark.usefixtures("there")
def test_only_folders_of_models_are_looked_at(folder: str) -> None:
    with pytest.raises(Unfit, match="no model's folder"):
        files._manifest(replace(SOUGHT, folder=folder))


@pytest.mark.usefixtures("there")
def test_a_file_that_no_manifest_has_is_not_given_out() -> None:
    with pytest.raises(Unfit, match=r"has no file manifest\.json"):
        list(files._pieces(SOUGHT.folder, "manifest.json"))


@pytest.mark.usefixtures("there")
def test_a_disk_without_room_takes_nothing(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "SPARE_BYTES", 1 << 60)
    assert fetch(here) == {}
