"""How the bare libraries answer chats, greedily, with edge-serve's files, threads and settings."""

from __future__ import annotations

import itertools
import time
from typing import Any

from ipc.messages.jobs import ChatInput, Job, Message, Sampling
from ipc.messages.spec import Spec
from tests.bench.bare.asked import Asked, Work, say

_DEADLINE_S = 600.0


def openvino(spec: Spec) -> Work:
    """`ContinuousBatchingPipeline.generate` over all prompts, from messages to text."""
    import numpy as np
    import openvino
    import openvino_genai as genai

    from worker.engines.openvino_chat.load import chat_model

    model = chat_model(spec, say)
    pipeline, layout = model.pipeline, model.texts.layout
    tokenizer = pipeline.get_tokenizer()

    def encode(prompt: str) -> Any:
        return openvino.Tensor(np.array([layout.tokens([Message("user", prompt)])]))

    def work(asked: Asked) -> tuple[float, float]:
        config = genai.GenerationConfig()
        config.max_new_tokens, config.ignore_eos = asked.tokens, asked.ignore_eos
        prompts = [encode(prompt) for prompt in asked.inputs]
        answers = pipeline.generate(prompts, [config] * len(prompts))
        written = [answer.m_generation_ids[0] for answer in answers]
        for tokens in written:
            tokenizer.decode(tokens)
        # Every answer carries the same metrics, those of the whole call.
        return sum(map(len, written)), answers[0].perf_metrics.get_ttft().mean / 1000

    return work


def llama_cpp(spec: Spec) -> Work:
    """`handle_completions` of xllamacpp's server, one prompt after the other, each whole."""
    from worker.engines.llama_cpp.load import llama_model

    model = llama_model(spec, say)

    def answer(prompt: str, asked: Asked) -> int:
        body = {
            "prompt": model.layout.tokens([Message("user", prompt)]),
            "max_tokens": asked.tokens,
            "ignore_eos": asked.ignore_eos,
            "temperature": 0.0,
        }
        return int(model.server.handle_completions(body)["usage"]["completion_tokens"])

    def work(asked: Asked) -> tuple[float, float]:
        return sum(answer(prompt, asked) for prompt in asked.inputs), 0.0

    return work


def torch(spec: Spec) -> Work:
    """The torch engine by itself, step by step: nothing but its tokens and their text."""
    from ipc.messages.events import Done
    from worker.engines.torch_chat.engine import TorchChat

    engine, numbers = TorchChat(), itertools.count()
    engine.load(spec, say)

    def job(prompt: str, asked: Asked) -> Job:
        sampling = Sampling(max_tokens=asked.tokens, temperature=0.0, ignore_eos=asked.ignore_eos)
        chat = ChatInput(messages=[Message("user", prompt)], sampling=sampling)
        ends_at = time.monotonic() + _DEADLINE_S
        return Job(id=str(next(numbers)), model=spec.name, input=chat, deadline_at=ends_at)

    def work(asked: Asked) -> tuple[float, float]:
        jobs = [job(prompt, asked) for prompt in asked.inputs]
        for one in jobs:
            if not engine.admit(one):
                raise RuntimeError("more prompts than the engine has slots")
        written: list[int] = []
        while len(written) < len(jobs):
            ends = [event for event in engine.step() if isinstance(event, Done)]
            written += [end.result.usage.completion_tokens for end in ends]
        return sum(written), 0.0

    return work
