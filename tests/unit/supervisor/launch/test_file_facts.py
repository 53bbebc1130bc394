"""What is told of a model's files: by the files themselves, and by the store."""

from __future__ import annotations

import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import pytest

from ipc.facts.gguf import Header
from ipc.messages.spec import FileFacts
from supervisor.config import catalog
from supervisor.config.catalog import Model
from supervisor.launch.file_facts import identified, told
from supervisor.models.store import FileRecord, Manifest

SHA = re.compile("[0-9a-f]{64}")


def write_json(path: Path, **content: Any) -> None:
    path.write_text(json.dumps(content))


def write_tensors(path: Path, **tensors: tuple[str, list[int]]) -> None:
    """The head of a file of safetensors."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    for name, (dtype, shape) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [0, 0]}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text)


def model(folder: Path, text: str) -> Model:
    file = folder / "catalog.yaml"
    file.write_text(f"models: [{{name: acme/one, task: chat, {text}}}]")
    (found,) = catalog.load(file).select([])
    return found


def test_a_gguf_file_says_it_in_its_header(tmp_path: Path) -> None:
    header = Header("llama", 2048, True, frozenset(), 134_515_008, "Q4_1")
    assert told(tmp_path / "x.gguf", header) == FileFacts(
        format="gguf", family="llama", parameters=134_515_008, quantization="Q4_1"
    )


def test_a_checkpoint_says_it_in_its_config_and_its_tensors(tmp_path: Path) -> None:
    write_json(tmp_path / "config.json", model_type="qwen3")
    write_tensors(tmp_path / "a.safetensors", one=("BF16", [10, 20]), two=("F32", [7]))
    write_tensors(tmp_path / "b.safetensors", three=("BF16", [3]), four=("F32", []))
    assert told(tmp_path, None) == FileFacts(
        format="safetensors", family="qwen3", parameters=211, quantization="BF16"
    )


def test_packed_weights_are_not_counted(tmp_path: Path) -> None:
    write_json(
        tmp_path / "config.json", model_type="qwen3", quantization_config={"quant_method": "awq"}
    )
    write_tensors(tmp_path / "a.safetensors", one=("I32", [10, 20]))
    assert told(tmp_path, None) == FileFacts(
        format="safetensors", family="qwen3", quantization="AWQ"
    )


def test_openvinos_files_say_how_they_were_written(tmp_path: Path) -> None:
    (tmp_path / "openvino_model.xml").touch()
    write_json(tmp_path / "config.json", model_type="llama")
    assert told(tmp_path, None) == FileFacts(format="openvino", family="llama")
    write_json(tmp_path / "openvino_config.json", dtype="int4")
    assert told(tmp_path, None).quantization == "INT4"


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff" * 40, struct.pack("<Q", 1 << 60), b"{"])
def test_what_cannot_be_read_is_not_known(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "config.json").write_bytes(content)
    (tmp_path / "model.safetensors").write_bytes(content)
    assert told(tmp_path, None) == FileFacts(format="safetensors")


def test_files_that_are_not_here_say_nothing(tmp_path: Path) -> None:
    assert told(tmp_path / "none", None) == FileFacts()
    (tmp_path / "model.bin").touch()
    assert told(tmp_path, None).format == "ctranslate2"


def test_pulled_files_are_identified_by_their_digests(tmp_path: Path) -> None:
    def pulled(sha256: str) -> FileFacts:
        files = {
            name: FileRecord(size=size, sha256=sha256, mtime_ns=0)
            for name, size in (("a", 5), ("b", 7))
        }
        manifest = Manifest(name="acme/one", source="hf:acme/one", pulled_at=0, files=files)
        return identified(FileFacts(), model(tmp_path, "source: hf:acme/one"), manifest)

    assert pulled("aa").size_bytes == 12
    assert SHA.fullmatch(pulled("aa").digest)
    assert pulled("aa") == pulled("aa") != pulled("ab")


def test_the_users_own_files_are_identified_by_their_sizes_and_times(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "weights").write_bytes(bytes(9))
    own = model(tmp_path, f"source: 'file:{folder}'")
    first = identified(FileFacts(family="llama"), own, None)
    assert (first.size_bytes, first.family) == (9, "llama")
    assert SHA.fullmatch(first.digest)
    os.utime(folder / "weights", (1, 1))
    assert identified(FileFacts(), own, None).digest != first.digest


def test_a_model_without_files_is_identified_by_its_name(tmp_path: Path) -> None:
    found = identified(FileFacts(), model(tmp_path, "engine: echo"), None)
    assert found.size_bytes == 0
    assert SHA.fullmatch(found.digest)


@pytest.mark.parametrize("named", [False, True])
def test_the_file_by_which_a_gguf_model_reads_images_is_one_of_its_files(
    tmp_path: Path, named: bool
) -> None:
    weights, eyes = tmp_path / "a.gguf", tmp_path / ("eyes.gguf" if named else "mmproj-a.gguf")
    weights.write_bytes(b"1234")
    eyes.write_bytes(b"567")
    options = f"options: {{mmproj: '{eyes}'}}" if named else "options: {}"
    text = f"engine: llama.cpp, source: 'file:{weights}', {options}"
    sees, reads = (
        model(tmp_path, f"{text}, vision: true"),
        model(tmp_path, f"{text}, vision: false"),
    )
    seen, read = (identified(FileFacts(), one, None) for one in (sees, reads))
    assert (seen.size_bytes, read.size_bytes) == (7, 4)
    assert seen.digest != read.digest
    eyes.write_bytes(b"5678")
    assert identified(FileFacts(), sees, None).digest != seen.digest
