"""Grammars in OpenVINO GenAI, whose pipelines compile them by xgrammar.

A pipeline compiles a request's grammar in the step that would pick its first token. All others wait
for that, and where the grammar is refused the step raises, and so does each one after it: what was
half done in the others is never finished. So a grammar goes through a pipeline of its own first,
with the smallest model there is. Compiled grammars belong to the tokenizer, which both share: the
second time a grammar takes a few milliseconds, and cannot be refused.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import openvino_genai as genai

from ipc.grammar.gbnf import to_ebnf
from ipc.grammar.rules import Rules
from ipc.messages.errors import InvalidRequest
from worker.engines.openvino_chat.small_model import write_small_model

# Compiled grammars stay in the library: 0.3 to 2.5 MB each, one of 5,000 texts 34 MB, as measured.
_MOST_COMPILED = 300


class Grammars:
    """Compiles grammars for a pipeline whose ``tokenizer`` this is, and whose logits are for so
    many ``tokens``. ``ends`` are those that end an answer.

    The library notes compilations in a way that is not safe for two threads: while one is going on
    here, that pipeline must not begin an answer with a grammar, nor its very first.
    """

    def __init__(self, tokenizer: Any, tokens: int, ends: frozenset[int]) -> None:
        self._tokenizer = tokenizer
        self._tokens = tokens
        self._ends = ends
        self._pipeline: Any = None
        self._compiled: set[int] = set()  # hashes of what the library has ever compiled
        self._prompt = openvino.Tensor(np.zeros((1, 1), dtype=np.int64))

    @property
    def worn(self) -> str:
        """Why only a fresh process gives memory back, if it is time for that."""
        if len(self._compiled) < _MOST_COMPILED:
            return ""
        return f"it has compiled {len(self._compiled)} grammars, which the library keeps"

    def compile(self, rules: Rules) -> str:
        """``rules`` as the library takes them, compiled: up to seconds, in which other threads run.
        Raises `InvalidRequest` where the library refuses them."""
        grammar = to_ebnf(rules)
        self._compiled.add(hash(grammar))
        if self._pipeline is None:
            self._pipeline = self._made()
        config = genai.GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = 1
        config.stop_token_ids = set(self._ends)
        config.structured_output_config = structured(grammar)
        try:
            self._pipeline.generate([self._prompt], [config])
        except RuntimeError as error:
            raise InvalidRequest(
                f"the model cannot be held to this form: {_last_line(error)}"
            ) from error
        return grammar

    def _made(self) -> Any:
        scheduling = genai.SchedulerConfig()
        scheduling.num_kv_blocks = 1
        scheduling.max_num_seqs = 1
        with tempfile.TemporaryDirectory() as folder:
            write_small_model(Path(folder), self._tokens)
            return genai.ContinuousBatchingPipeline(
                folder, self._tokenizer, scheduling, "CPU", INFERENCE_NUM_THREADS=1
            )


def structured(grammar: str) -> Any:
    """A request's setting for an answer of this ``grammar``, EBNF."""
    config = genai.StructuredOutputConfig()
    config.grammar = grammar
    return config


def _last_line(error: Exception) -> str:
    """Those above say where in the library's source it arose."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[-1].partition(": ")[2] or lines[-1] if lines else type(error).__name__
