"""Chats on torch, and what transformers answers to the same."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ipc.messages.jobs import ChatInput, Job
from ipc.messages.spec import Spec
from tests.contract.driver import Driver, chat
from tests.contract.subjects import DEVICE, EXACT, SLOTS, THREADS
from worker.engine import LoadError
from worker.engines.torch_chat.engine import TorchChat
from worker.engines.torch_chat.sampling import pick

# Shorter than most prompts of the tests, so that they are read in several steps.
PREFILL_TOKENS = 16
WORDS = ["fox", "sea", "moon", "count", "wizard", "Grüße", "👩\u200d🚀", "dog", "tell", "name"]


def spec(path: Path, **changed: Any) -> Spec:
    values: dict[str, Any] = {
        "name": "tiny",
        "task": "chat",
        "engine": "torch",
        "path": str(path),
        "device": DEVICE,
        "slots": SLOTS,
        "threads": THREADS,
        "options": {"prefill_tokens": PREFILL_TOKENS} | (EXACT if DEVICE != "cpu" else {}),
    }
    return Spec(**values | changed)


def loaded(path: Path, **changed: Any) -> TorchChat:
    engine = TorchChat()
    engine.load(spec(path, **changed), lambda _: None)
    return engine


def refusal(path: Path, **changed: Any) -> LoadError:
    with pytest.raises(LoadError) as caught:
        loaded(path, **changed)
    return caught.value


@cache
def _read(path: Path) -> tuple[Any, Any]:
    """The tokenizer and the model. Checkpoints are tiny, and a path is of one only."""
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
    return AutoTokenizer.from_pretrained(path), model


class Reference:
    """The same checkpoint, run by transformers one request at a time. What it has answered once it
    knows: most tests ask the same of several ways to run the engine."""

    _answers: ClassVar[dict[tuple[Path, bytes], list[int]]] = {}

    def __init__(self, path: Path) -> None:
        self._path = path
        self.tokenizer, self.model = _read(path)

    def tokens(self, one: Job) -> list[int]:
        """The greedy answer to ``one``, the token that ends it included."""
        asked = self._path, msgspec.json.encode(one.input)
        if asked not in self._answers:
            self._answers[asked] = self._generate(one)
        return self._answers[asked]

    def _generate(self, one: Job) -> list[int]:
        assert isinstance(one.input, ChatInput)
        turns = [{"role": turn.role, "content": turn.content} for turn in one.input.messages]
        prompt = self.tokenizer.apply_chat_template(
            turns, add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        sampling = one.input.sampling
        whole = self.model.generate(
            **prompt,
            do_sample=False,
            max_new_tokens=sampling.max_tokens,
            min_new_tokens=sampling.min_tokens,
            repetition_penalty=sampling.repetition_penalty,
        )
        found: list[int] = whole[0, prompt.input_ids.shape[1] :].tolist()
        return found

    def text(self, one: Job) -> str:
        text: str = self.tokenizer.decode(self.tokens(one), skip_special_tokens=True)
        return text


def random_chat(draw: random.Random) -> Job:
    """A greedy chat, as often as not with options beyond those of OpenAI's API."""
    words, most = draw.choices(WORDS, k=draw.randint(1, 40)), draw.randint(1, 40)
    return chat(
        " ".join(words),
        max_tokens=most,
        min_tokens=draw.choice([0, 0, most]),
        repetition_penalty=draw.choice([1.0, 1.0, 1.3]),
    )


def first_logits(driver: Driver, one: Job, monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """What the engine chose the first token of ``one`` from, [vocabulary], on the CPU."""
    seen: list[torch.Tensor] = []

    def watched(logits: torch.Tensor, *others: Any) -> torch.Tensor:
        seen.append(logits.cpu().clone())
        return pick(logits, *others)

    monkeypatch.setattr("worker.engines.torch_chat.engine.pick", watched)
    driver.run(one)
    return seen[0][0]
