"""Chats with images on torch, and what transformers answers to the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

from ipc.messages.blob import Blob
from ipc.messages.jobs import ChatInput, Image, Job, Message, Sampling, Text
from ipc.messages.spec import Spec
from tests.contract.chat import torch_chats
from tests.contract.checkpoints import tiny_vision
from tests.contract.checkpoints.tiny_vision import picture
from tests.contract.driver import job
from worker.images import decode

RED, BLUE, WIDE = (
    picture(64, 64, "red"),
    picture(96, 160, "blue", "JPEG"),
    picture(200, 72, "green", "WEBP"),
)


def spec(path: Path, **changed: Any) -> Spec:
    return torch_chats.spec(path, **{"vision": True, "max_prompt_tokens": 400} | changed)


def ask(*parts: str | bytes, max_tokens: int = 24) -> Job:
    """A user's turn; bytes are images."""
    content: list[Text | Image] = [
        Text(part) if isinstance(part, str) else Image(Blob(part)) for part in parts
    ]
    return asked([Message("user", content)], max_tokens)


def asked(messages: list[Message], max_tokens: int = 24) -> Job:
    sampling = Sampling(max_tokens=max_tokens, temperature=0.0)
    return job(ChatInput(messages=messages, sampling=sampling))


class ImageReference:
    """The same checkpoint in transformers, one request at a time, its prompt laid out by hand."""

    def __init__(self, path: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path)
        self.images = AutoImageProcessor.from_pretrained(path)  # type: ignore[no-untyped-call]
        self.model: Any = AutoModelForImageTextToText.from_pretrained(path, dtype=torch.float32)

    def inputs(self, one: Job) -> dict[str, torch.Tensor]:
        assert isinstance(one.input, ChatInput)
        turns: list[dict[str, Any]] = []
        pictures = []
        for message in one.input.messages:
            given = message.content
            parts: list[dict[str, str]] = []
            for part in [Text(given)] if isinstance(given, str) else given:
                if isinstance(part, Image):
                    pictures.append(decode(part.file.data))
                    parts.append({"type": "image"})
                else:
                    parts.append({"type": "text", "text": part.text})
            turns.append({"role": message.role, "content": parts})
        text = self.tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        found: dict[str, torch.Tensor] = {}
        pieces = text.split(tiny_vision.IMAGE_PAD)
        if pictures:
            found = dict(self.images(pictures, return_tensors="pt"))
            for at, (_, rows, columns) in enumerate(found["image_grid_thw"].tolist()):
                pieces[at] += tiny_vision.IMAGE_PAD * (rows * columns // 4)
        ids = self.tokenizer("".join(pieces), return_tensors="pt").input_ids
        pad = self.tokenizer.convert_tokens_to_ids(tiny_vision.IMAGE_PAD)
        found |= {"input_ids": ids, "mm_token_type_ids": (ids == pad).int()}
        return found

    def logits(self, one: Job) -> torch.Tensor:
        """After the prompt, [vocabulary]."""
        with torch.inference_mode():
            found: torch.Tensor = self.model(**self.inputs(one)).logits[0, -1]
        return found

    def text(self, one: Job) -> str:
        assert isinstance(one.input, ChatInput)
        inputs = self.inputs(one)
        limit = one.input.sampling.max_tokens
        whole = self.model.generate(**inputs, max_new_tokens=limit, do_sample=False)
        written = whole[0, inputs["input_ids"].shape[1] :]
        text: str = self.tokenizer.decode(written, skip_special_tokens=True)
        return text
