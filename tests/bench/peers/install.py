"""A virtual environment for each peer, made once, from packages alone."""

from __future__ import annotations

import hashlib
import subprocess
import venv
from pathlib import Path

from supervisor.config.settings import ROOT
from tests.bench.models import Say
from tests.bench.peers.known import TORCH, Peer

FOLDER = ROOT / ".peers"
INSTALL_S = 3600.0  # llama-cpp-python is compiled, which takes ten minutes on two cores
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
    name = hashlib.sha256("\n".join(peer.packages).encode()).hexdigest()[:12]
    return FOLDER / name / "bin"


def install(peer: Peer, say: Say) -> None:
    """Make the peer's environment if it is not there. Raises `RuntimeError` with pip's words."""
    folder = scripts(peer).parent
    if (folder / _STAMP).exists():
        return
    say(f"{peer.name}: installing")
    venv.create(folder, with_pip=True, clear=True)
    # torch first and alone: a resolver that sees the other packages may choose another build.
    if TORCH in peer.packages:
        _pip(peer, TORCH)
    _pip(peer, *peer.packages)
    (folder / _STAMP).touch()


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
