"""The precisions in which a repository has a model as GGUF, by the names of its files. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

# The best first, as far as a box can tell them apart: what is larger than Q8_0 answers no better
# (llama.cpp's tools/quantize has the perplexities), so it comes last.
_BEST_FIRST = (
    *("Q8_K_XL", "Q8_0", "Q6_K_XL", "Q6_K_L", "Q6_K", "Q5_K_XL", "Q5_K_L", "Q5_K_M", "Q5_K_S"),
    *("Q5_1", "Q5_0", "Q4_K_XL", "Q4_K_L", "Q4_K_M", "Q4_K_S", "IQ4_NL", "IQ4_XS", "MXFP4_MOE"),
    *("MXFP4", "Q4_1", "Q4_0", "Q3_K_XL", "Q3_K_L", "Q3_K_M", "Q3_K_S", "IQ3_M", "IQ3_S"),
    *("IQ3_XS", "IQ3_XXS", "Q2_K_XL", "Q2_K_L", "Q2_K", "Q2_K_S", "IQ2_M", "IQ2_S", "IQ2_XS"),
    *("IQ2_XXS", "TQ2_0", "TQ1_0", "IQ1_M", "IQ1_S", "BF16", "F16", "FP16", "F32", "FP32"),
)
_LABEL = re.compile(
    r"(?:^|[-._])(?:UD-)?(I?Q\d(?:_[A-Z0-9]+)*|TQ\d_\d|MXFP4(?:_MOE)?|BF16|FP?16|FP?32)"
    r"(?=$|[-._])",
    re.IGNORECASE,
)
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
# What is no language model: the part that sees, the statistics of a quantisation.
_NOT_MODELS = re.compile(r"(^|/)mmproj|imatrix", re.IGNORECASE)


class GgufForm(NamedTuple):
    """One file that is the model in a precision. ``name`` is the precision as its publisher has it,
    or the file's name where that tells none."""

    name: str
    file: str
    stem: str  # the name without its precision: what the files of one model have in common


def forms(files: Iterable[str]) -> list[GgufForm]:
    """Those in ``files``, the best first. Models in several parts are left out."""
    found = [_form(file) for file in files if is_model(file) and not _PART.search(file)]
    return sorted(found, key=lambda form: (_rank(form.name), form.file))


def is_model(file: str) -> bool:
    """Whether a file holds a language model, or a part of one."""
    return file.endswith(".gguf") and not _NOT_MODELS.search(file)


def projector(files: Iterable[str]) -> str | None:
    """The file by which images are read: of several the one in 16 bits, which is exact enough."""
    found = sorted(one for one in files if one.startswith("mmproj") and one.endswith(".gguf"))
    exact = [one for one in found if re.search(r"[-._]B?F16", one, re.IGNORECASE)]
    return next(iter(exact or found), None)


def named(form: GgufForm, wanted: str) -> bool:
    """Whether ``wanted`` is what people call the form: its file, or its precision."""
    return wanted == form.file or wanted.upper() == form.name


def is_oversized(name: str) -> bool:
    """Whether a precision is larger than Q8_0, which answers as well."""
    return name in ("BF16", "F16", "FP16", "F32", "FP32")


def _form(file: str) -> GgufForm:
    name = file.rpartition("/")[2].removesuffix(".gguf")
    labels = list(_LABEL.finditer(name))
    if not labels:
        return GgufForm(name, file, name)
    last = labels[-1]
    return GgufForm(last[1].upper(), file, name[: last.start()] + name[last.end() :])


def _rank(name: str) -> int:
    return _BEST_FIRST.index(name) if name in _BEST_FIRST else len(_BEST_FIRST)
