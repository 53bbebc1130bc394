"""What a GGUF file says of itself in its header: small, and at once, without a library.

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

T = TypeVar("T")

_FIRST_VERSION = 2  # the one before it counts in 32 bits
_TEXT, _ARRAY = 8, 9
_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}


# How OpenVINO GenAI's reader knows weights to be stored (its src/cpp/src/gguf_utils, release
# 2026.4), by ggml's numbers: F32, F16, Q4_0, Q4_1, Q8_0, Q4_K, Q6_K, BF16. The package gguf can
# unpack those of the second line, too: Q5_0, Q5_1, Q2_K, Q3_K, Q5_K, and IQ, TQ and MXFP4.
OPENVINO_TENSORS = frozenset({0, 1, 2, 3, 8, 12, 14, 30})
UNPACKED_TENSORS = frozenset({6, 7, 10, 11, 13, *range(16, 24), 29, 34, 35, 39})

# How most weights are stored, by llama.cpp's numbers (`llama_ftype` in include/llama.h).
_QUANTIZATIONS = dict(
    zip(
        (*range(4), *range(7, 33), *range(36, 39)),
        (
            *("F32", "F16", "Q4_0", "Q4_1"),
            *("Q8_0", "Q5_0", "Q5_1", "Q2_K", "Q3_K_S", "Q3_K_M", "Q3_K_L", "Q4_K_S", "Q4_K_M"),
            *("Q5_K_S", "Q5_K_M", "Q6_K", "IQ2_XXS", "IQ2_XS", "Q2_K_S", "IQ3_XS", "IQ3_XXS"),
            *("IQ1_S", "IQ4_NL", "IQ3_S", "IQ3_M", "IQ2_S", "IQ2_M", "IQ4_XS", "IQ1_M", "BF16"),
            *("TQ1_0", "TQ2_0", "MXFP4_MOE"),
        ),
        strict=True,
    )
)


class Header(NamedTuple):
    """``tensor_types`` are ggml's numbers of the ways in which the weights are stored, and
    ``quantization`` is the name of the one that the whole file goes by, empty if it has none."""

    architecture: str
    context_tokens: int | None
    has_chat_template: bool
    tensor_types: frozenset[int]
    parameters: int = 0
    quantization: str = ""


def read_header(path: Path) -> Header:
    """Raises `ValueError` where ``path`` is no GGUF file or ends within its header, `OSError` where
    it cannot be read."""
    return _read(path, lambda cursor: cursor.header())


def read_facts(path: Path, arrays: Collection[str]) -> dict[str, Any]:
    """The metadata of ``path`` by its keys. Arrays are long, so only those named come with it.

    Raises as `read_header`.
    """
    return _read(path, lambda cursor: cursor.facts(arrays))


def first_facts(beginning: bytes) -> dict[str, Any]:
    """The metadata by its keys, as far as the ``beginning`` of a file has it; arrays are left out.
    The facts of a model usually stand before its vocabulary, which is most of a header.

    Raises `ValueError` where it is not that of a GGUF file.
    """
    found: dict[str, Any] = {}
    cursor = _Cursor(beginning)
    try:
        found.update(cursor.pairs())
    except (struct.error, OverflowError, UnicodeDecodeError, KeyError, RecursionError):
        if not found:
            raise ValueError("not the beginning of a GGUF file") from None
    return found


def _read(path: Path, what: Callable[[_Cursor], T]) -> T:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return what(_Cursor(data))
        except (struct.error, OverflowError, UnicodeDecodeError, KeyError, RecursionError) as error:
            raise ValueError("not a whole GGUF file") from error


class _Cursor:
    """A place in the file that moves on with what is read."""

    def __init__(self, data: mmap.mmap | bytes) -> None:
        self._data = data
        self._at = 0
        self._tensors = 0

    def facts(self, arrays: Collection[str] = ()) -> dict[str, Any]:
        return dict(self.pairs(arrays))

    def pairs(self, arrays: Collection[str] = ()) -> Iterator[tuple[str, Any]]:
        """Each key with its value, in the order of the file."""
        if self._data[:4] != b"GGUF":
            raise ValueError("not a GGUF file")
        self._at = 4
        version, self._tensors, pairs = self._take("IQQ")
        if version < _FIRST_VERSION:
            raise ValueError(f"GGUF version {version} is too old")
        for _ in range(pairs):
            yield self._fact(arrays)

    def header(self) -> Header:
        facts = self.facts()
        architecture = facts["general.architecture"]
        context = facts.get(f"{architecture}.context_length")
        tensors = [self._tensor() for _ in range(self._tensors)]
        return Header(
            architecture=str(architecture),
            context_tokens=context if isinstance(context, int) else None,
            has_chat_template="tokenizer.chat_template" in facts,
            tensor_types=frozenset(kind for kind, _ in tensors),
            parameters=sum(weights for _, weights in tensors),
            quantization=_QUANTIZATIONS.get(facts.get("general.file_type", -1), ""),
        )

    def _fact(self, arrays: Collection[str]) -> tuple[str, Any]:
        key = self._text()
        (kind,) = self._take("I")
        wanted = kind == _ARRAY and key in arrays
        return key, self._array(*self._take("IQ")) if wanted else self._value(kind)

    def _take(self, layout: str) -> tuple[Any, ...]:
        found = struct.unpack_from(f"<{layout}", self._data, self._at)
        self._at += struct.calcsize(f"<{layout}")
        return found

    def _text(self) -> str:
        (size,) = self._take("Q")
        found = self._data[self._at : self._at + size]
        self._at += size
        if len(found) < size:
            raise struct.error("ends within a text")
        return found.decode()

    def _value(self, kind: int) -> Any:
        """A value; an array is passed over."""
        if kind == _TEXT:
            return self._text()
        if kind == _ARRAY:
            return self._skip_array(*self._take("IQ"))
        return self._take(_SCALARS[kind])[0]

    def _array(self, kind: int, count: int) -> list[Any]:
        if kind in _SCALARS:
            return list(self._take(f"{count}{_SCALARS[kind]}"))
        return [self._value(kind) for _ in range(count)]

    def _skip_array(self, kind: int, count: int) -> None:
        if kind in _SCALARS:
            self._at += count * struct.calcsize(_SCALARS[kind])
            return
        for _ in range(count):
            if kind == _TEXT:  # a vocabulary: hundreds of thousands that nobody wants decoded
                (size,) = self._take("Q")
                self._at += size
            else:
                self._value(kind)

    def _tensor(self) -> tuple[int, int]:
        """How a tensor is stored, and how many weights it has."""
        self._text()
        (dimensions,) = self._take("I")
        *sizes, kind, _offset = self._take(f"{dimensions}QIQ")
        return int(kind), math.prod(sizes)


def projectors(model: Path) -> list[Path]:
    """The files beside a GGUF ``model`` by which llama.cpp reads images: mmproj, as it has them."""
    return sorted(model.parent.glob("mmproj*.gguf"))
