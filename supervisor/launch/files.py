"""What the files of a model are, as far as engine and device depend on it."""

from __future__ import annotations

from pathlib import Path

from ipc.facts.gguf import Header, read_header
from ipc.facts.speech_files import engine_of
from supervisor.config.engines import gguf_readers, openvino_reads
from supervisor.config.spec import Files
from supervisor.launch import file_facts


def look(path: Path, cache: Path, pulled_at: int | None, machine: str = "") -> Files:
    """What is in ``path``, a folder or the one file to load, which may not be there yet.

    ``cache`` is the folder for its conversion. ``pulled_at`` is in seconds since 1970; None for a
    model that is not the store's, which the time of its own file or folder dates. ``machine`` is
    this box's kind of processor.
    """
    gguf = path.suffix == ".gguf"
    header = _header(path) if gguf else None
    return Files(
        path=str(path),
        cache=str(cache),
        converted=any(path.glob("openvino_*model.xml")) or (gguf and _openvino_reads(header)),
        gguf=gguf,
        checkpoint=any(path.glob("*.safetensors")),
        hears=engine_of(_names(path), file_facts.object_in(path / "config.json")),
        vision=has_vision(path / "config.json"),
        readers=gguf_readers(header, machine) if header else (),
        created=_changed_at(path) if pulled_at is None else pulled_at,
        facts=file_facts.told(path, header),
    )


def _names(folder: Path) -> set[str]:
    """Those of its graphs, and of what tells whose they are."""
    found = [*folder.glob("*.*"), *folder.glob("onnx/*.on*")]
    return {file.relative_to(folder).as_posix() for file in found}


def _changed_at(path: Path) -> int:
    return int(path.stat().st_mtime) if path.exists() else 0


def _header(path: Path) -> Header | None:
    """None of a GGUF file that is not here yet, or is none inside."""
    try:
        return read_header(path)
    except (OSError, ValueError):
        return None


def _openvino_reads(header: Header | None) -> bool:
    """Whether a GGUF file is one for OpenVINO. One without a header is taken for it: its engine
    reports the real problem later."""
    return header is None or openvino_reads(header)


def has_vision(config: Path) -> bool:
    """Whether a checkpoint of transformers has weights for images, as its config.json says."""
    return "vision_config" in file_facts.object_in(config)
