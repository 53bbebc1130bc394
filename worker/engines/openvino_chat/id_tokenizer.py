"""A tokenizer of OpenVINO whose texts name token ids.

OpenVINO GenAI takes a prompt with images as a text alone: it finds the places of images there, and
has its tokenizer read the rest, control tokens too. So the pipeline of a model that sees gets this
tokenizer in place of the checkpoint's. To it ``1f;20;`` is two tokens, and only the marks around an
image go by their texts. What a request brings is tokens by then, and can name no mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import openvino
from openvino import opset15 as ops
from openvino.utils.node_factory import NodeFactory

from worker.engines.openvino_chat.tokenizer import FILE


def ids_as_text(tokens: Iterable[int]) -> str:
    """``tokens`` as this tokenizer reads them."""
    return "".join(map(_name, tokens))


def write_id_tokenizer(folder: Path, like: Path, tokens: int, marks: Mapping[str, int]) -> None:
    """Write into ``folder`` the tokenizer of a vocabulary of so many ``tokens``, of which ``marks``
    go by their texts. All else that a tokenizer's file says is as in the folder ``like``."""
    model = _model([*map(_name, range(tokens)), *marks], [*range(tokens), *marks.values()], marks)
    for key, value in openvino.Core().read_model(like / FILE).get_rt_info().items():
        model.set_rt_info(value, key)
    openvino.save_model(model, folder / FILE, compress_to_fp16=False)


def _name(token: int) -> str:
    return f"{token:x};"


def _model(names: Sequence[str], ids: Sequence[int], marks: Iterable[str]) -> Any:
    """From texts, of which each is cut into ``names``, to the ``ids`` of these."""
    import openvino_tokenizers

    create = openvino_tokenizers._get_factory().create
    text = ops.parameter([-1], openvino.Type.string)
    strings = NodeFactory("opset15").create("StringTensorUnpack", text.outputs()).outputs()
    zero, one = ops.constant(np.int32(0)), ops.constant(np.int32(1))
    texts = ops.squeeze(ops.shape_of(strings[0], "i32"), zero)
    begins = ops.range(zero, texts, one, "i32")
    ends = ops.range(one, ops.add(texts, one), one, "i32")
    pattern = _bytes("|".join(["[0-9a-f]+;", *map(re.escape, marks)]).encode())
    cut = create(
        "RegexSplit",
        [begins.output(0), ends.output(0), *strings, pattern],
        {"behaviour": "isolate", "invert": False, "max_splits": -1},
    ).outputs()
    unknown = _ints(-1)
    found = create("VocabEncoder", [*cut[2:5], *_strings(names), _ints(ids), unknown]).output(0)
    longest = ops.reduce_max(ops.subtract(cut[1], cut[0]), zero).output(0)
    rows = create(
        "RaggedToDense",
        [*cut[:2], found, longest, zero.output(0)],
        {"pad_right": True, "pad_max_length": False},
    ).outputs()
    named = zip(rows, ("input_ids", "attention_mask"), strict=True)
    return openvino.Model([_result(row, name) for row, name in named], [text], "token ids")


def _result(row: Any, name: str) -> Any:
    whole = ops.convert(row, "i64")
    whole.output(0).set_names({name})
    return ops.result(whole)


def _strings(texts: Sequence[str]) -> list[Any]:
    """``texts`` as OpenVINO's operations take them: where each begins and ends, and all bytes."""
    encoded = [text.encode() for text in texts]
    bounds = np.cumsum([0, *map(len, encoded)])
    return [_ints(bounds[:-1]), _ints(bounds[1:]), _bytes(b"".join(encoded))]


def _ints(numbers: Any) -> Any:
    return ops.constant(np.array(numbers, dtype=np.int32)).output(0)


def _bytes(data: bytes) -> Any:
    return ops.constant(np.frombuffer(data, dtype=np.uint8)).output(0)
