"""What the files of a model say of it, for people and programs that choose one.

Nothing is decided by it, so what cannot be read is simply not known.
"""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from ipc.facts.gguf import Header, projectors
from ipc.messages.spec import FileFacts
from supervisor.config.catalog import Model
from supervisor.config.entries.source import LocalPath
from supervisor.models.store import Manifest
from supervisor.state.weights import digest_of

# Far beyond that of any checkpoint; a file that claims more is none.
_MAX_HEADER_BYTES = 100 << 20


def of_each(model: Model, pulled: Manifest | None) -> Mapping[str, str]:
    """What changes with each file of the model, by its name: its digest, or its size and time where
    it is the user's own. Those that the catalog expects where none are here."""
    if isinstance(model.source, LocalPath):
        found = _own(model, model.source.path)
        return {name: f"{stat.st_size} {stat.st_mtime_ns}" for name, stat in found.items()}
    files = model.entry.files if pulled is None else pulled.files
    return {name: file.sha256 for name, file in files.items()}


def identified(facts: FileFacts, model: Model, pulled: Manifest | None) -> FileFacts:
    """``facts`` with the size and the digest of the files; of a model without any the digest is
    that of its name."""
    return msgspec.structs.replace(
        facts,
        size_bytes=_size_bytes(model, pulled),
        digest=digest_of(of_each(model, pulled) or {model.entry.name: ""}),
    )


def told(path: Path, header: Header | None) -> FileFacts:
    """What the files in ``path`` say themselves; ``header`` is that of a GGUF file."""
    if header is not None:
        return FileFacts(
            format="gguf",
            family=header.architecture,
            parameters=header.parameters,
            quantization=header.quantization,
        )
    config = object_in(path / "config.json")
    family = str(config.get("model_type") or "")
    if any(path.glob("openvino_*model.xml")):
        stored = object_in(path / "openvino_config.json").get("dtype")
        return FileFacts(format="openvino", family=family, quantization=str(stored or "").upper())
    if tensors := sorted(path.glob("*.safetensors")):
        return _checkpoint(family, config, tensors)
    return FileFacts(format="ctranslate2" if (path / "model.bin").exists() else "", family=family)


def object_in(file: Path) -> dict[str, Any]:
    """The JSON object in ``file``; empty where there is none."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checkpoint(family: str, config: Mapping[str, Any], files: Iterable[Path]) -> FileFacts:
    """Of packed weights the tensors do not tell how many there are."""
    packing = config.get("quantization_config")
    if isinstance(packing, dict):
        method = str(packing.get("quant_method") or "").upper()
        return FileFacts(format="safetensors", family=family, quantization=method)
    counts = sum((_weights(file) for file in files), Counter[str]())
    commonest = counts.most_common(1)
    return FileFacts(
        format="safetensors",
        family=family,
        parameters=counts.total(),
        quantization=commonest[0][0] if commonest else "",
    )


def _weights(file: Path) -> Counter[str]:
    """How many weights a file of safetensors has, by how they are stored.

    The format: https://huggingface.co/docs/safetensors
    """
    counts: Counter[str] = Counter()
    try:
        with file.open("rb") as opened:
            (size,) = struct.unpack("<Q", opened.read(8))
            header = json.loads(opened.read(size)) if size <= _MAX_HEADER_BYTES else {}
        for name, tensor in header.items():
            if name != "__metadata__":
                counts[tensor["dtype"]] += math.prod(tensor["shape"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, struct.error):
        return Counter()
    return counts


def _size_bytes(model: Model, pulled: Manifest | None) -> int:
    if isinstance(model.source, LocalPath):
        return sum(stat.st_size for stat in _own(model, model.source.path).values())
    return sum(file.size for file in pulled.files.values()) if pulled else 0


def _own(model: Model, path: Path) -> dict[str, Any]:
    """The files of a model of the user's own at ``path``, and that by which it reads images where
    this is a second one, as of GGUF models."""
    found = _stats(path)
    if path.suffix == ".gguf" and model.entry.vision:
        named = model.entry.options.get("mmproj")
        others = [Path(str(named))] if named else projectors(path)
        found |= {str(file): file.stat() for file in others[:1] if file.is_file()}
    return found


def _stats(path: Path) -> dict[str, Any]:
    files = path.rglob("*") if path.is_dir() else [path]
    return {file.relative_to(path).as_posix(): file.stat() for file in files if file.is_file()}
