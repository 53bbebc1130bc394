"""Torch joins the environment when something needs it, and no other environment is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from ipc.messages.spec import Spec
from supervisor.config import catalog, settings
from supervisor.host import hardware
from supervisor.host.hardware import Box
from supervisor.launch import stages
from supervisor.launch.candidate import Candidate
from supervisor.launch.stages import Launch
from supervisor.models import convert, optional_packages, torch_install
from supervisor.models.archive import FetchError
from supervisor.models.optional_packages import OptionalPackages

ROOT = Path(__file__).parents[4]
TORCH = "requirements-torch.txt"

# A Python that makes no difference: it notes what it is told to install, and says what pip would.
# While a file `failing` is there it ends as pip does that has lost its network.
PYTHON = """#!/bin/sh
echo "$*" >> "$(dirname "$0")/installed"
echo "Progress 5 of 10"
[ ! -e "$(dirname "$0")/failing" ] || { echo "ERROR: No matching distribution"; exit 1; }
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose own environment is the one that runs, and has no torch."""
    root = tmp_path / "checkout"
    (root / "bin").mkdir(parents=True)
    shutil.copy(ROOT / "bin" / "venv.sh", root / "bin")
    for name in ("requirements.txt", TORCH):
        (root / name).write_text(f"{name}==1\n")
    python = root / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    (root / ".venv/lib/python3.11/site-packages").mkdir(parents=True)
    python.write_text(PYTHON)
    python.chmod(0o755)
    monkeypatch.setattr(optional_packages, "ROOT", root)
    monkeypatch.setattr(optional_packages, "_SCRIPT", root / "bin" / "venv.sh")
    monkeypatch.setattr(optional_packages, "_OWN", root / ".venv")
    monkeypatch.setattr(torch_install, "TORCH", OptionalPackages("torch", ("torch_of_no_kind",)))
    monkeypatch.setattr(sys, "prefix", str(root / ".venv"))
    return root


def silent(_label: str, _done: int, _total: int) -> None:
    return


def installed(checkout: Path) -> list[str]:
    """The file that each installation was of."""
    lines = (checkout / ".venv/bin/installed").read_text().splitlines()
    return [line.rpartition("/")[2] for line in lines]


# --- the environment -----------------------------------------------------------------------------


def test_torch_is_installed_once_and_its_progress_is_told(checkout: Path) -> None:
    told: list[tuple[str, int, int]] = []
    torch_install.install(lambda label, done, total: told.append((label, done, total)))
    torch_install.install(silent)
    assert installed(checkout) == [TORCH]
    assert told == [("torch", 5, 10)]


def test_it_is_installed_again_when_what_is_pinned_changes(checkout: Path) -> None:
    torch_install.install(silent)
    (checkout / TORCH).write_text("torch==2\n")
    torch_install.install(silent)
    assert installed(checkout) == [TORCH, TORCH]


def test_an_installation_that_fails_says_why_and_is_tried_again(checkout: Path) -> None:
    failing = checkout / ".venv/bin/failing"
    failing.touch()
    with pytest.raises(FetchError, match=r"torch: .*No matching distribution"):
        torch_install.install(silent)
    failing.unlink()
    torch_install.install(silent)
    assert installed(checkout) == [TORCH, TORCH]


def launched(checkout: Path) -> subprocess.CompletedProcess[str]:
    """As bin/edge-serve does it."""
    script = f'set -euo pipefail; . "{checkout}/bin/venv.sh"; ensure_venv {TORCH}'
    return subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=30, check=False
    )


def test_the_launcher_says_one_line_and_all_that_pip_said_where_it_fails(checkout: Path) -> None:
    failing = checkout / ".venv/bin/failing"
    failing.touch()
    ended = launched(checkout)
    assert ended.returncode == 1
    first, *pip = ended.stderr.splitlines()
    assert first.startswith(f"edge-serve: installing {TORCH}, once, into {checkout}/.venv")
    assert pip == ["Progress 5 of 10", "ERROR: No matching distribution"]
    failing.unlink()
    ended = launched(checkout)
    assert (ended.returncode, ended.stderr.count("\n")) == (0, 1)


def test_two_at_once_install_once(checkout: Path) -> None:
    threads = [threading.Thread(target=torch_install.install, args=[silent]) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert installed(checkout) == [TORCH]


def test_the_launcher_and_the_supervisor_agree_on_what_is_installed(checkout: Path) -> None:
    script = f'. "{checkout}/bin/venv.sh"; LC_ALL=$1 ensure_venv {TORCH}'
    for locale in ("C", "en_US.UTF-8"):
        subprocess.run(["bash", "-euc", script, "-", locale], timeout=30, check=True)
    torch_install.install(silent)
    assert installed(checkout) == [TORCH]


def test_the_environment_of_somebody_else_is_left_alone(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(FetchError, match="another user's; do this as its owner"):
        torch_install.install(silent)
    monkeypatch.setattr(sys, "prefix", "/opt/venv")
    with pytest.raises(FetchError, match=f"pip install --requirement {checkout}/{TORCH}"):
        torch_install.install(silent)
    (checkout / TORCH).unlink()  # installed from a wheel
    with pytest.raises(FetchError, match=r"pip install 'edge-serve\[torch\]'"):
        torch_install.install(silent)
    monkeypatch.setattr(torch_install, "TORCH", OptionalPackages("torch", ("sys",)))
    torch_install.install(silent)  # theirs has it
    assert not (checkout / ".venv/bin/installed").exists()


# --- who needs it --------------------------------------------------------------------------------

Fetch = Callable[[str], Spec]
Ask = Callable[[str], tuple[Launch, Candidate]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ask:
    """A chat model of one engine, on a box whose GPU nothing that is installed rules out.

    The engines of the test are what can be imported from its folder.
    """
    monkeypatch.setattr(os, "environ", os.environ.copy())
    for name in settings.Settings.model_fields:
        os.environ.pop(name.upper(), None)
    os.environ["EDGE_SERVE_MODELS_DIR"] = str(tmp_path / "models")
    os.environ["PYTHONPATH"] = str(tmp_path)
    (tmp_path / "model").mkdir()
    (tmp_path / "model/config.json").write_text("{}")
    (tmp_path / "mine.py").write_text(
        "import os\n"
        f"if not os.path.exists({str(tmp_path / 'torch')!r}):\n"
        "    raise ModuleNotFoundError('No module named torch', name='torch')\n"
        "class Mine: pass\n"
    )

    def asked(engine: str) -> tuple[Launch, Candidate]:
        file = tmp_path / "own.yaml"
        entry = f"{{name: me/m, task: chat, engine: {engine}, source: 'file:{tmp_path}/model'}}"
        file.write_text(f"models: [{entry}]")
        box = Box(gpus=1, cuda=True)
        launched = Launch(settings.load(settings.Flags()), box)
        (found,) = launched.candidates(catalog.load(file).select([])).all
        return launched, found

    return asked


@pytest.fixture
def fetch(ask: Ask) -> Fetch:
    def fetched(engine: str) -> Spec:
        launched, candidate = ask(engine)
        return launched.fetch(candidate, silent).spec

    return fetched


def test_an_engine_that_serves_without_torch_installs_none(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_install, "install", pytest.fail)
    assert fetch("echo").engine == "echo"


def test_the_torch_engine_has_torch_installed_and_takes_the_device_that_it_can_use(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(torch_install, "TORCH", OptionalPackages("torch", ("torch_of_no_kind",)))
    monkeypatch.setattr(torch_install, "install", asked.append)
    monkeypatch.setattr(convert, "_run", lambda _spec, _on_stage: None)
    monkeypatch.setattr(stages, "detect", Box)  # what came is a build for CPUs
    assert fetch("torch").device == "cpu"
    assert len(asked) == 1


def test_so_has_a_conversion_that_finds_it_missing(
    fetch: Fetch, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(torch_install, "install", lambda _report: (tmp_path / "torch").touch())
    assert fetch("mine.Mine").engine == "mine.Mine"


def test_nothing_is_installed_where_nothing_may_be_fetched(
    ask: Ask, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.environ["AUTO_DOWNLOAD_MODELS"] = "0"
    monkeypatch.setattr(torch_install, "TORCH", OptionalPackages("torch", ("torch_of_no_kind",)))
    monkeypatch.setattr(torch_install, "install", pytest.fail)
    for engine in ("torch", "mine.Mine"):
        with pytest.raises(FetchError, match="torch, which is not installed; run: edge-serve pull"):
            fetch(engine)
    launched, candidate = ask("torch")
    (found,) = launched.obstacles(candidate, None)  # what `edge-serve check` tells
    assert "torch, which is not installed; run: edge-serve pull me/m" in found


def test_a_gpu_counts_unless_the_torch_that_is_here_cannot_use_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(_name: str) -> str:
        raise PackageNotFoundError

    monkeypatch.setattr(hardware, "_cuda_devices", lambda: 1)
    for version, counts in (
        (absent, True),
        (lambda _: "2.13.0", True),
        (lambda _: "2.13.0+cpu", False),
    ):
        monkeypatch.setattr(hardware, "version", version)
        assert hardware.detect().cuda is counts
    monkeypatch.setattr(hardware, "_cuda_devices", lambda: 0)
    assert not hardware.detect().cuda
