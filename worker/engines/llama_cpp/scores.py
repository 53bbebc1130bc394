"""How probable llama.cpp finds the tokens of a text: what other engines' copies of a GGUF file are
held against.

    python -m worker.engines.llama_cpp.scores PARENT PIPE

reads a JSON `AskedScores` from stdin and prints a JSON `Scores`. It ends when the process PARENT
does, which alone holds the other end of PIPE.

The server object tells log probabilities of tokens that it writes only, before any bias. So it is
made to write each of them, by a bias that nothing else can outweigh.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import msgspec

from ipc.runtime import lifeline
from worker.engines.common.scores import AskedScores, Scores

_FORCED = 1e6


class _Token(msgspec.Struct):
    id: int
    logprob: float
    top_logprobs: list[_Token] = []


class _Logprobs(msgspec.Struct):
    content: list[_Token]


class _Choice(msgspec.Struct):
    logprobs: _Logprobs


class _Answer(msgspec.Struct):
    choices: list[_Choice]


def scores(asked: AskedScores) -> Scores:
    """Raises `ImportError` where llama.cpp cannot be, `RuntimeError` where it cannot load the file,
    `ValueError` where it wrote another token."""
    with tempfile.TemporaryDirectory(prefix="edge-serve-") as folder:
        server = _server(asked, folder)
        found = [_forced(server, asked.tokens, at) for at in range(asked.given, len(asked.tokens))]
        del server
    return Scores(
        logprobs=[one.logprob for one in found],
        likeliest=[one.top_logprobs[0].id for one in found],
    )


def _forced(server: Any, tokens: list[int], at: int) -> _Token:
    """What the token at that place is told to be like. What is before it is in the cache."""
    answered = server.handle_completions(
        {
            "prompt": tokens[:at],
            "max_tokens": 1,
            "temperature": 0.0,
            "logprobs": 1,
            "logit_bias": [[tokens[at], _FORCED]],
            "cache_prompt": True,
        }
    )
    (written,) = msgspec.convert(answered, _Answer, strict=False).choices[0].logprobs.content
    if written.id != tokens[at]:
        raise ValueError(f"llama.cpp wrote token {written.id} in place of {tokens[at]}")
    return written


def _server(asked: AskedScores, folder: str) -> Any:
    import xllamacpp

    parameters = xllamacpp.CommonParams()
    parameters.model.path = asked.path
    parameters.n_gpu_layers = 0
    parameters.n_parallel = 1
    parameters.n_ctx = len(asked.tokens) + 1
    parameters.fit_params = parameters.warmup = False
    parameters.cache_ram_mib = 0
    parameters.verbosity = -1
    for threads in (parameters.cpuparams, parameters.cpuparams_batch):
        # Its threads spin while they wait for each other, so they leave room for who else computes.
        threads.n_threads = max(1, (os.cpu_count() or 1) // 2)
        threads.poll = 0
    parameters.hostnames = [f"{folder}/llama.sock"]  # it always listens
    return xllamacpp.Server(parameters)


if __name__ == "__main__":
    lifeline.hold(int(sys.argv[1]), int(sys.argv[2]))
    found = scores(msgspec.json.decode(sys.stdin.buffer.read(), type=AskedScores))
    sys.stdout.buffer.write(msgspec.json.encode(found))
