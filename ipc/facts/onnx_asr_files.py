"""Which speech models that onnx-asr reads are among some files, by their names and config.json.

The names are those of its own publishers, `istupakov` and `onnx-community`: each graph by itself or
with a precision behind its name, ``encoder-model.onnx`` and ``encoder-model.int8.onnx``; weights
that do not fit into a graph beside it, ``encoder-model.onnx.data``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

FLOAT32 = "f32"  # what a graph without a precision behind its name is called


class Export(NamedTuple):
    """A model in one precision: its ``kind``, as onnx-asr calls it, and the names of its files."""

    kind: str
    precision: str
    files: tuple[str, ...]

    @property
    def quantization(self) -> str | None:
        """The precision, as onnx-asr wants to be told it."""
        return None if self.precision == FLOAT32 else self.precision


class _Family(NamedTuple):
    """``graphs`` are patterns of names without precision and ending. Where names do not tell the
    ``kind``, config.json does."""

    kind: str
    graphs: tuple[str, ...]
    texts: tuple[str, ...]
    told_by_config: bool = False


def _gigaam(name: str, stem: str, vocabulary: str) -> list[_Family]:
    parts = tuple(f"{stem}_rnnt_{part}" for part in ("encoder", "decoder", "joint"))
    return [
        _Family(f"{name}-ctc", (f"{stem}_ctc",), (vocabulary.format("ctc"),)),
        _Family(f"{name}-rnnt", parts, (vocabulary.format("rnnt"),)),
    ]


_TRANSDUCER = ("encoder-model", "decoder_joint-model")
_WHISPER = ("vocab.json", "added_tokens.json")
_FAMILIES = (
    _Family("nemo-conformer-ctc", ("model",), ("vocab.txt",), told_by_config=True),
    _Family("nemo-conformer-rnnt", _TRANSDUCER, ("vocab.txt",), told_by_config=True),
    _Family("nemo-conformer-tdt", _TRANSDUCER, ("vocab.txt",), told_by_config=True),
    _Family("nemo-conformer-aed", ("encoder-model", "decoder-model"), ("vocab.txt",)),
    *_gigaam("gigaam-v2", "v2", "v2_vocab.txt"),
    *_gigaam("gigaam-v3", "v3", "v3_vocab.txt"),
    *_gigaam("gigaam-v3-e2e", "v3_e2e", "v3_e2e_{}_vocab.txt"),
    _Family("gigaam-multilingual-ctc", (r"multilingual\w*_ctc",), ("multilingual_vocab.txt",)),
    _Family(
        "whisper",
        ("(?:onnx/)?encoder_model", "(?:onnx/)?decoder_model_merged"),
        _WHISPER,
        told_by_config=True,
    ),
    _Family("whisper-ort", (r"whisper-[\w.]+_beamsearch",), _WHISPER),
)
KINDS = tuple(family.kind for family in _FAMILIES)


def exports(names: Collection[str], config: Mapping[str, Any]) -> list[Export]:
    """The models whose files all are among ``names``, beside this config.json."""
    return [
        found
        for family in _FAMILIES
        if not family.told_by_config or config.get("model_type") == family.kind
        if all(text in names for text in family.texts)
        for found in _of_family(family, names)
    ]


def _of_family(family: _Family, names: Collection[str]) -> Iterator[Export]:
    graphs = [_precisions(pattern, names) for pattern in family.graphs]
    for precision in sorted(set.intersection(*(set(one) for one in graphs))):
        own = [one[precision] for one in graphs]
        beside = [name for name in names if name.startswith(tuple(own))]
        texts = [name for name in ("config.json", *family.texts) if name in names]
        yield Export(family.kind, precision, (*sorted(beside), *texts))


def _precisions(pattern: str, names: Collection[str]) -> dict[str, str]:
    """The graph in each precision that there is."""
    found = {}
    for name in names:
        if match := re.fullmatch(rf"{pattern}(?:[._-](?P<precision>\w+))?\.onnx", name):
            found[match["precision"] or FLOAT32] = name
    return found
