"""Headers of GGUF files, built by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from ipc.facts.gguf import Header, read_header

Q4_1, Q8_0 = 3, 8


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def pair(key: str, kind: int, value: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + value


def tensor(name: str, kind: int) -> bytes:
    return text(name) + struct.pack("<IQQIQ", 2, 32, 64, kind, 0)


PAIRS = [
    pair("general.architecture", 8, text("gemma3")),
    pair("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 2) + text("Grüße") + text("")),
    pair("tokenizer.ggml.scores", 9, struct.pack("<IQ2f", 6, 2, 0.5, 1.5)),
    pair("nested", 9, struct.pack("<IQ", 9, 1) + struct.pack("<IQ2h", 3, 2, -1, 1)),
    pair("general.alignment", 4, struct.pack("<I", 32)),
    pair("is_good", 7, b"\x01"),
    pair("general.file_type", 4, struct.pack("<I", 3)),
    pair("gemma3.context_length", 4, struct.pack("<I", 32768)),
    pair("tokenizer.chat_template", 8, text("{{ messages }}")),
]
TENSORS = [tensor("token_embd.weight", Q8_0), tensor("blk.0.attn_q.weight", Q4_1)]


def gguf(pairs: list[bytes], tensors: list[bytes], version: int = 3) -> bytes:
    counts = struct.pack("<IQQ", version, len(tensors), len(pairs))
    return b"GGUF" + counts + b"".join(pairs) + b"".join(tensors)


def read(folder: Path, content: bytes) -> Header:
    file = folder / "model.gguf"
    file.write_bytes(content)
    return read_header(file)


def test_a_header_is_read_past_everything_that_is_not_asked_for(tmp_path: Path) -> None:
    header = read(tmp_path, gguf(PAIRS, TENSORS))
    assert header == Header("gemma3", 32768, True, frozenset({Q4_1, Q8_0}), 2 * 32 * 64, "Q4_1")


def test_what_is_not_said_is_not_known(tmp_path: Path) -> None:
    assert read(tmp_path, gguf(PAIRS[:1], [])) == Header("gemma3", None, False, frozenset())


@pytest.mark.parametrize("size", [5, 23, 60, 100, 200, 300])
def test_a_header_cut_short_is_noticed(tmp_path: Path, size: int) -> None:
    with pytest.raises(ValueError, match="not a whole GGUF file"):
        read(tmp_path, gguf(PAIRS, TENSORS)[:size])


HUGE = struct.pack("<Q", 2**64 - 1)


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(pair("a", 8, HUGE), id="a text"),
        pytest.param(pair("a", 9, struct.pack("<I", 4) + HUGE), id="an array"),
        pytest.param(pair("a", 9, struct.pack("<IQ", 9, 1) * 10_000), id="arrays of arrays"),
        pytest.param(pair("a", 8, text("x").replace(b"x", b"\xeb")), id="no text"),
    ],
)
def test_sizes_that_no_file_has_are_noticed(tmp_path: Path, damaged: bytes) -> None:
    with pytest.raises(ValueError, match="not a whole GGUF file"):
        read(tmp_path, gguf([damaged, *PAIRS], TENSORS))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04pickle, or anything else that is long enough",
        gguf(PAIRS[1:], TENSORS),
        gguf(PAIRS, TENSORS, version=1),
        gguf([pair("odd", 77, b"")], []),
    ],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(ValueError, match=r"GGUF|empty"):
        read(tmp_path, content)


@pytest.mark.parametrize(
    ("number", "name"),
    [
        *((0, "F32"), (1, "F16"), (3, "Q4_1"), (7, "Q8_0"), (15, "Q4_K_M"), (18, "Q6_K")),
        *((25, "IQ4_NL"), (30, "IQ4_XS"), (32, "BF16"), (38, "MXFP4_MOE"), (5, ""), (1024, "")),
    ],
)
def test_a_file_goes_by_how_most_of_its_weights_are_stored(
    tmp_path: Path, number: int, name: str
) -> None:
    pairs = [PAIRS[0], pair("general.file_type", 4, struct.pack("<I", number))]
    assert read(tmp_path, gguf(pairs, [])).quantization == name
