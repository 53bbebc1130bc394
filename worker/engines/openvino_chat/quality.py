"""What the conversion of a GGUF file has cost: held against llama.cpp, which reads the file itself.

Both are asked how probable they find a text of prose and code. llama.cpp runs in a process of its
own, which ends before OpenVINO's copy is loaded.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import openvino
import openvino_genai as genai
from numpy.typing import NDArray

from ipc.runtime import lifeline
from worker.chat.gguf import GgufTokenizer
from worker.engine import LoadError
from worker.engines.common.log_sum import log_sum
from worker.engines.common.scores import AskedScores, Scores
from worker.engines.openvino_chat.logits import read

FILE = "quality.json"
# A conversion that loses more is not used: in nats a token, which is 10 % of perplexity, and of the
# likeliest tokens. What was seen is in docs/performance.md: 0.02 and 0.93 at the worst.
MOST_LOST_NATS = 0.1
LEAST_AGREEMENT = 0.85
_REFERENCE = "worker.engines.llama_cpp.scores"
# Nothing is written meanwhile, so well below the time without progress that ends a conversion
# (`Spec.load_stall_s`): where llama.cpp takes longer, the conversion is used unchecked.
_REFERENCE_S = 180.0

TEXT = """The harbour of a small town lies behind a wall of grey stone. In the morning the boats
come in with the tide. Fishermen sort what they have caught, talk about the weather and mend their
nets. A girl counts the crates: twelve of herring, four of cod, and one with two lobsters that her
father sells to the inn.

def moving_average(values, width):
    total = sum(values[:width])
    means = [total / width]
    for old, new in zip(values, values[width:]):
        total += new - old
        means.append(total / width)
    return means

Water boils at 100 degrees Celsius at sea level; on a mountain of 3,000 metres it boils at about
90 degrees, so that an egg takes longer there.
"""
# What is asked of begins after so many of its tokens.
_GIVEN = 8


class Quality(msgspec.Struct, frozen=True, kw_only=True):
    """How a conversion does beside its source, over so many ``tokens`` of text: the mean negative
    log likelihood of each in nats, and the share of tokens of which both find the same one
    likeliest. Where llama.cpp could not be asked, ``unchecked`` says why."""

    tokens: int = 0
    source_nats: float = 0.0
    converted_nats: float = 0.0
    agreement: float = 0.0
    unchecked: str = ""

    @property
    def lost_nats(self) -> float:
        return self.converted_nats - self.source_nats

    @property
    def fault(self) -> str:
        """Why it is not good enough to be used; empty if it is."""
        if self.unchecked or (
            self.lost_nats <= MOST_LOST_NATS and self.agreement >= LEAST_AGREEMENT
        ):
            return ""
        return (
            f"as converted for OpenVINO it loses {self.lost_nats:.3f} nats a token and agrees with "
            f"llama.cpp about {self.agreement:.0%} of them; set engine: llama.cpp"
        )


def check_quality(source: Path, folder: Path, texts: GgufTokenizer) -> Quality:
    """Hold the model in ``folder`` against its ``source`` and write it down there. Raises
    `LoadError` where it loses too much."""
    tokenizer = genai.Tokenizer(str(folder))
    tokens = [] if texts.begins_with is None else [texts.begins_with]
    tokens += tokenizer.encode(TEXT, add_special_tokens=False).input_ids.data[0].tolist()
    try:
        reference = _ask_llama_cpp(source, tokens)
    except RuntimeError as error:
        found = Quality(unchecked=str(error))
    else:
        found = _compared(reference, tokens[_GIVEN:], _logits(folder, tokens)[_GIVEN - 1 : -1])
    (folder / FILE).write_bytes(msgspec.json.encode(found))
    if found.fault:
        raise LoadError(found.fault)
    return found


def _ask_llama_cpp(source: Path, tokens: Sequence[int]) -> Scores:
    """Raises `RuntimeError` with what kept it from answering."""
    asked = AskedScores(path=str(source), tokens=list(tokens), given=_GIVEN)
    argv = [sys.executable, "-P", "-m", _REFERENCE]
    try:
        child = lifeline.run(argv, _REFERENCE_S, given=msgspec.json.encode(asked))
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"llama.cpp took longer than {_REFERENCE_S:.0f} s") from None
    if child.returncode:
        why = lifeline.last_words(child.stderr)
        raise RuntimeError(why or f"llama.cpp ended with {child.returncode}")
    try:
        found = msgspec.json.decode(child.stdout, type=Scores)
    except msgspec.DecodeError:
        raise RuntimeError("llama.cpp answered something else") from None
    if len(found.logprobs) != len(tokens) - _GIVEN or len(found.likeliest) != len(tokens) - _GIVEN:
        raise RuntimeError("llama.cpp answered of other tokens")
    return found


def _logits(folder: Path, tokens: Sequence[int]) -> NDArray[np.float32]:
    """Of shape [tokens, vocabulary]: what the model finds of the token after each of ``tokens``."""
    core = openvino.Core()
    properties = {"INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(folder / "openvino_model.xml", "CPU", properties)
    return read(model.create_infer_request(), tokens)


def _compared(reference: Scores, tokens: Sequence[int], logits: NDArray[np.float32]) -> Quality:
    """``logits`` are those by which each of the ``tokens`` would be picked."""
    logprobs = logits[np.arange(len(tokens)), tokens] - log_sum(logits)
    return Quality(
        tokens=len(tokens),
        source_nats=-float(np.mean(reference.logprobs)),
        converted_nats=-float(logprobs.mean()),
        agreement=float((logits.argmax(axis=1) == np.array(reference.likeliest)).mean()),
    )
