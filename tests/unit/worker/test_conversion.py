"""Conversions happen once, whole, in a process of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.messages.spec import Spec
from worker.conversion import MARKER, prepared, stamp
from worker.engine import LoadError
from worker.engines import TorchMissing

DEADLINE_S = 30.0

# The conversions under test, as a module that only the child processes import.
CONVERSIONS = """
import os, signal, sys, time
from pathlib import Path
from worker.engine import LoadError

def copy(source, target):
    with (source.parent / "runs").open("a") as runs:
        runs.write("x")
    (target / "sub").mkdir()
    (target / "sub" / "weights").write_bytes(source.read_bytes())

def slow_copy(source, target):
    time.sleep(0.3)
    copy(source, target)

def refuse(source, target):
    (target / "half").write_text("half")
    raise LoadError("the weights\\nare cut short")

def starve(source, target):
    raise OSError(28, "No space left on device")

def export(source, target):
    (target / "half").write_text("half")
    raise ModuleNotFoundError("No module named 'torch'", name="torch")

def crash(source, target):
    os.kill(os.getpid(), signal.SIGSEGV)

def hang(source, target):
    pid = source.parent / "pid"
    pid.with_suffix(".part").write_text(str(os.getpid()))
    pid.with_suffix(".part").rename(pid)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def conversions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conversions.py").write_text(CONVERSIONS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.bin"
    path.write_bytes(b"weights")
    return path


def spec_of(source: Path, name: str = "org/model", **changes: Any) -> Spec:
    cache = str(source.parent / "cache")
    return Spec(
        **{"name": name, "task": "chat", "engine": "echo", "path": str(source), "cache": cache}
        | changes
    )


def convert(spec: Spec, how: str = "copy", key: str = "1") -> Path:
    return prepared(spec, lambda _: None, f"conversions:{how}", key)


def runs(source: Path) -> int:
    return len((source.parent / "runs").read_text())


def folders(source: Path) -> list[str]:
    return sorted(path.name for path in (source.parent / "cache").iterdir() if path.is_dir())


def eventually(true: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + DEADLINE_S
    while not true():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_a_model_is_converted_once(source: Path) -> None:
    spec = spec_of(source)
    folder = convert(spec)
    assert (folder / "sub" / "weights").read_bytes() == b"weights"
    assert convert(spec) == folder
    assert runs(source) == 1


def test_the_stages_say_that_it_converts(source: Path) -> None:
    stages: list[str] = []
    prepared(spec_of(source), stages.append, "conversions:copy", "1")
    assert stages[0] == "converting"


def test_another_key_replaces_the_older_conversion(source: Path) -> None:
    old, new = convert(spec_of(source), key="1"), convert(spec_of(source), key="2")
    assert old != new
    assert folders(source) == [new.name]


def test_a_conversion_that_fails_leaves_the_older_one(source: Path) -> None:
    old = convert(spec_of(source))
    with pytest.raises(LoadError):
        convert(spec_of(source, path=f"{source}.absent"))
    assert folders(source) == [old.name]
    before = runs(source)
    assert convert(spec_of(source)) == old
    assert runs(source) == before


def test_models_with_like_names_keep_their_conversions(source: Path) -> None:
    one, other = convert(spec_of(source, "a/b")), convert(spec_of(source, "a-b"))
    assert folders(source) == sorted([one.name, other.name])


def test_a_conversion_that_has_been_cut_short_is_made_anew(source: Path) -> None:
    folder = convert(spec_of(source))
    (folder / "sub" / "weights").write_bytes(b"wei")
    assert convert(spec_of(source)) == folder
    assert (folder / "sub" / "weights").read_bytes() == b"weights"


@pytest.mark.parametrize("marker", [None, b"", b"{}"])
def test_a_folder_without_its_marker_does_not_count(source: Path, marker: bytes | None) -> None:
    folder = convert(spec_of(source))
    (folder / MARKER).unlink()
    if marker is not None:
        (folder / MARKER).write_bytes(marker)
    convert(spec_of(source))
    assert runs(source) == 2


def test_a_failure_is_one_line_and_leaves_nothing(source: Path) -> None:
    with pytest.raises(LoadError) as caught:
        convert(spec_of(source), "refuse")
    assert caught.value.reason == f"cannot convert {source}: the weights are cut short"
    assert caught.value.permanent
    assert folders(source) == []


def test_a_full_disk_may_pass(source: Path) -> None:
    with pytest.raises(LoadError, match="No space left") as caught:
        convert(spec_of(source), "starve")
    assert not caught.value.permanent


def test_a_conversion_for_which_torch_is_missing_says_how_to_get_it(source: Path) -> None:
    with pytest.raises(TorchMissing, match=r"needs torch: .*; run: edge-serve pull org/model"):
        convert(spec_of(source), "export")
    assert folders(source) == []


def test_a_crash_of_the_library_stays_in_the_child(source: Path) -> None:
    with pytest.raises(LoadError, match=f"signal {signal.SIGSEGV}"):
        convert(spec_of(source), "crash")
    assert folders(source) == []


def test_a_conversion_that_does_not_get_on_is_ended(source: Path) -> None:
    with pytest.raises(LoadError, match="wrote nothing") as caught:
        convert(spec_of(source, load_stall_s=1.0), "hang")
    assert not caught.value.permanent
    assert not alive(source)


def test_an_unknown_conversion_is_told(source: Path) -> None:
    with pytest.raises(LoadError, match="no attribute 'nothing'"):
        convert(spec_of(source), "nothing")


def test_without_a_cache_folder_nothing_can_be_converted(source: Path) -> None:
    with pytest.raises(LoadError, match="cache folder"):
        convert(spec_of(source, cache=""))


def test_a_cache_that_is_a_file_is_told(source: Path) -> None:
    with pytest.raises(LoadError, match="cannot keep a conversion") as caught:
        convert(spec_of(source, cache=str(source)))
    assert str(source) in caught.value.reason


def test_two_at_once_convert_once(source: Path) -> None:
    found: list[Path] = []

    def ask() -> None:
        found.append(convert(spec_of(source), "slow_copy"))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert len(set(found)) == 1
    assert len(found) == 3
    assert runs(source) == 1


def test_the_child_dies_with_its_parent(source: Path) -> None:
    code = (
        "import sys, msgspec; from ipc.messages.spec import Spec;"
        "from worker.conversion import prepared;"
        "spec = msgspec.json.decode(sys.argv[1], type=Spec);"
        "prepared(spec, print, 'conversions:hang', '1')"
    )
    argv = [sys.executable, "-c", code, msgspec.json.encode(spec_of(source)).decode()]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL) as parent:
        try:
            eventually(lambda: alive(source))
        finally:
            parent.kill()
    eventually(lambda: not alive(source))
    # What it has left is swept by the next one.
    folder = convert(spec_of(source))
    assert (folder / "sub" / "weights").exists()


def alive(source: Path) -> bool:
    """Whether the process of `hang` runs; one that is dead and not yet reaped does not."""
    try:
        pid = (source.parent / "pid").read_text()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_stamp_follows_sizes_and_times(tmp_path: Path, source: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    before = stamp(source), stamp(folder)
    assert before == (stamp(source), stamp(folder))
    os.utime(source, ns=(1, 1))
    os.utime(folder / "a", ns=(1, 1))
    after = stamp(source), stamp(folder)
    assert before[0] != after[0]
    assert before[1] != after[1]


ENGINES = """
from pathlib import Path
from worker.engine import LoadError

class Prepares:
    def prepare(self, spec, stage):
        stage("preparing")
        Path(spec.path + ".done").touch()

class Refuses:
    def prepare(self, spec, stage):
        raise LoadError("no such\\nmodel")

class NeedsTorch:
    def __init__(self):
        raise ModuleNotFoundError("No module named 'torch'", name="torch")

class Simple:
    pass
"""


def prepare_spec(source: Path, engine: str) -> subprocess.CompletedProcess[str]:
    (source.parent / "engines_of_mine.py").write_text(ENGINES)
    file = source.parent / "spec.json"
    file.write_bytes(msgspec.json.encode(spec_of(source, engine=f"engines_of_mine.{engine}")))
    argv = [sys.executable, "-m", "worker.conversion", "--spec", str(file)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def test_pull_lets_the_engine_prepare(source: Path) -> None:
    ended = prepare_spec(source, "Prepares")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "preparing\n", "")
    assert Path(f"{source}.done").exists()


def test_an_engine_with_nothing_to_prepare_is_fine(source: Path) -> None:
    assert prepare_spec(source, "Simple").returncode == 0


@pytest.mark.parametrize(
    ("engine", "line", "status"),
    [
        ("Refuses", "no such model", 1),
        ("Absent", "cannot be imported", 1),
        ("NeedsTorch", "needs torch: No module named 'torch'", os.EX_UNAVAILABLE),
    ],
)
def test_a_failure_at_pull_is_one_line(source: Path, engine: str, line: str, status: int) -> None:
    ended = prepare_spec(source, engine)
    assert ended.returncode == status
    assert line in ended.stderr
    assert ended.stderr.count("\n") == 1
