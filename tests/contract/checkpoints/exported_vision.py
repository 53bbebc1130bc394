"""A tiny Qwen3-VL as optimum-intel exports it to OpenVINO, kept packed beside this file.

That library wants another transformers than ours, so it is in no environment of tests. To make the
file anew, in an environment with optimum-intel 2.2.0, transformers 4.57.6 and openvino 2026.4.1:

    python -m tests.contract.checkpoints.exported_vision PATH_OF_OPTIMUM_CLI
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from tests.contract.checkpoints import packed, tiny_vision

_PACKED = Path(__file__).with_name("qwen3_vl_openvino.tar.xz")
_CHECKPOINT, _EXPORT = "checkpoint", "export"


def unpack(folder: Path) -> tuple[Path, Path]:
    """The checkpoint, for transformers, and what it was exported to."""
    packed.unpack(_PACKED, folder)
    return folder / _CHECKPOINT, folder / _EXPORT


def _make(folder: Path, optimum_cli: str) -> None:
    checkpoint, export = folder / _CHECKPOINT, folder / _EXPORT
    checkpoint.mkdir()
    tiny_vision.qwen3_vl(checkpoint)
    _coarsen(checkpoint / "model.safetensors")
    older = folder / "older"
    shutil.copytree(checkpoint, older)
    _write_as_older(older / "config.json")
    task = ("--task", "image-text-to-text", "--weight-format", "fp32")
    command = [optimum_cli, "export", "openvino", "-m", str(older), *task, str(export)]
    subprocess.run(command, check=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        shutil.copy(checkpoint / name, export)
    convert = Path(sys.executable).with_name("convert_tokenizer")
    subprocess.run([convert, export, "--with-detokenizer", "-o", export], check=True)


def _coarsen(file: Path) -> None:
    """Give each weight one of three values: few bytes, once they are packed."""
    coarse = {}
    for name, weight in load_file(file).items():
        if weight.ndim > 1:
            spread = weight.std()
            weight = torch.where(weight.abs() < spread / 2, 0.0, weight.sign() * spread)
        coarse[name] = weight
    save_file(coarse, file, {"format": "pt"})


def _write_as_older(config: Path) -> None:
    """Say how positions are encoded in the words of transformers 4."""
    found = json.loads(config.read_text())
    rope = found["text_config"].pop("rope_parameters")
    found["text_config"] |= {"rope_theta": rope.pop("rope_theta"), "rope_scaling": rope}
    config.write_text(json.dumps(found))


def _pack(folder: Path) -> None:
    with tarfile.open(_PACKED, "w:xz", preset=9) as archive:
        for name in (_CHECKPOINT, _EXPORT):
            archive.add(folder / name, name, filter=_without_owner)


def _without_owner(member: tarfile.TarInfo) -> tarfile.TarInfo:
    mode = member.mode | 0o644
    return member.replace(uid=0, gid=0, uname="", gname="", mtime=0, mode=mode, deep=False)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        _make(Path(made), sys.argv[1])
        _pack(Path(made))
