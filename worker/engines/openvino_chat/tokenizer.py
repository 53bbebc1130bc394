"""OpenVINO's own tokenizer of a GGUF file, made one that takes control tokens for text."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from numpy.typing import NDArray
from openvino import opset13 as ops

from worker.chat.vocabulary import Encode
from worker.engine import LoadError

FILE, DETOKENIZER = "openvino_tokenizer.xml", "openvino_detokenizer.xml"
_GROUP_BYTES = 1 << 18
_NEVER = "(?!)"
_UNCUT = np.int32(2**31 - 1)


def make_plain(folder: Path, control: Collection[str]) -> None:
    """Rewrite the tokenizer in ``folder``, beside itself first: its words are read from the file.

    It no longer looks for the ``control`` tokens in a text, nor cuts one that is long. All else of
    it stays: added tokens that control nothing, the words, how they are joined. Raises `LoadError`.
    """
    import openvino_tokenizers  # noqa: F401  (OpenVINO then knows its operations)

    written = folder / "plain.xml"
    model = openvino.Core().read_model(folder / FILE)
    found = 0
    for node in model.get_ordered_ops():
        if node.get_type_name() == "SpecialTokensSplit":
            found += 1
            pattern = node.input(node.get_input_size() - 1)
            texts = _texts(bytes(pattern.get_source_output().get_node().data))
            kept = _pattern([text for text in texts if text not in control])
            pattern.replace_source_output(ops.constant(kept).output(0))
        elif node.get_type_name() == "Minimum":
            node.input(1).replace_source_output(ops.constant(_UNCUT).output(0))
    if not found:
        raise LoadError("OpenVINO's tokenizer for it is not of a known kind")
    model.validate_nodes_and_infer_types()
    openvino.save_model(model, written, compress_to_fp16=False)
    for suffix in (".bin", ".xml"):
        written.with_suffix(suffix).replace((folder / FILE).with_suffix(suffix))


def batched(tokenizer: Any) -> Encode:
    """How OpenVINO's ``tokenizer`` encodes texts: a call costs as much as a hundred tokens, so it
    takes many at once, which it pads to the length of the longest."""

    def encode(texts: Sequence[str]) -> list[list[int]]:
        rows: list[list[int]] = []
        for group in _groups(texts):
            found = tokenizer.encode(group, add_special_tokens=False)
            ids, used = found.input_ids.data, found.attention_mask.data.astype(bool)
            rows += [row[mask].tolist() for row, mask in zip(ids, used, strict=True)]
        return rows

    return encode


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    """``texts`` in order, cut where padding would take more than a few megabytes."""
    group: list[str] = []
    longest = 0
    for text in texts:
        longest = max(longest, len(text.encode()))
        if group and longest * (len(group) + 1) > _GROUP_BYTES:
            yield group
            group, longest = [], len(text.encode())
        group.append(text)
    if group:
        yield group


def _texts(pattern: bytes) -> list[str]:
    """The texts that a pattern names: each in parentheses, with backslashes where they are due."""
    return [re.sub(r"\\(.)", r"\1", one) for one in pattern.decode()[1:-1].split(")|(")]


def _pattern(texts: list[str]) -> NDArray[np.uint8]:
    pattern = "|".join(f"({re.escape(text)})" for text in texts) or _NEVER
    return np.frombuffer(pattern.encode(), dtype=np.uint8)
