"""A virtual environment for each peer, or a server compiled, once, from packages alone."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import venv
from pathlib import Path

from supervisor.config.settings import ROOT
from supervisor.models import packages
from tests.bench.models import Say
from tests.bench.peers import llama_server
from tests.bench.peers.known import TORCH, Peer

FOLDER = ROOT / ".peers"
INSTALL_S = 3600.0  # to compile llama.cpp takes ten minutes on two cores
_STAMP = "edge-serve.stamp"

UNPACK = """
import sys, torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
folder, name, out = sys.argv[1:]
AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(out)
plain = GgufConfig(dequantize=True)
model = AutoModelForCausalLM.from_pretrained(
    folder, gguf_file=name, dtype=torch.float32, quantization_config=plain
)
model.save_pretrained(out)
"""


def scripts(peer: Peer) -> Path:
    """The folder of the scripts of its environment. Peers of the same packages share one."""
    made_of = [*peer.packages, *(llama_server.made_for() if peer.compiled else ())]
    name = hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:12]
    return FOLDER / name / "bin"


def install(peer: Peer, say: Say) -> None:
    """Make the peer's environment if it is not there. Raises `RuntimeError` with the words of
    pip or of the compiler, `FetchError` and `OSError`."""
    folder = scripts(peer).parent
    if (folder / _STAMP).exists():
        return
    if peer.compiled:
        say(f"{peer.name}: compiling")
        _compile(peer)
    else:
        say(f"{peer.name}: installing")
        _install(peer, folder)
    (folder / _STAMP).touch()


def _compile(peer: Peer) -> None:
    """Only the binary is kept."""
    target = scripts(peer)
    target.mkdir(parents=True, exist_ok=True)
    (requirement,) = peer.packages
    with tempfile.TemporaryDirectory(prefix="build-", dir=FOLDER) as temporary:
        place = Path(temporary)
        archive = packages.download(requirement, "sdist", place / "package", _unreported)
        sources = llama_server.unpack(archive, place)
        for command in llama_server.commands(sources, place / "build"):
            _run(command)
        (place / "build" / "bin" / llama_server.BINARY).rename(target / llama_server.BINARY)


def _unreported(_label: str, _done: int, _total: int) -> None:
    pass


def _install(peer: Peer, folder: Path) -> None:
    venv.create(folder, with_pip=True, clear=True)
    # torch first and alone: a resolver that sees the other packages may choose another build.
    if TORCH in peer.packages:
        _pip(peer, TORCH)
    _pip(peer, *peer.packages)


def unpacked(peer: Peer, gguf: Path, say: Say) -> Path:
    """The weights of ``gguf`` as a checkpoint in float32, made by the peer's transformers."""
    folder = FOLDER / "models" / gguf.stem
    if not (folder / "model.safetensors").exists():
        say(f"{gguf.name}: unpacking")
        _run([scripts(peer) / "python", "-c", UNPACK, gguf.parent, gguf.name, folder])
    return folder


def _pip(peer: Peer, *packages: str) -> None:
    _run([scripts(peer) / "python", "-m", "pip", "install", "--quiet", *packages])


def _run(command: list[str | Path]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=INSTALL_S
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:4]))} ...: {done.stderr[-2000:]}")
