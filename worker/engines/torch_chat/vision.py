"""Images in a chat: from messages to what an image-text model of transformers reads.

A model's own processor lays out the prompt: it knows how many tokens an image of some size takes
and where they go. Only the parts that need pictures are here; everything else is `torch_chat`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import jinja2
import torch
from transformers import AutoProcessor
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING
from transformers.utils.import_utils import is_torchvision_available

from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Image, Message
from worker.chat.dialects.detect import dialect_of
from worker.chat.dialects.dialect import ForTemplate, Turn
from worker.chat.dialects.in_text import in_parts
from worker.chat.prompt import NOTHING, Offered, Prompt, tail_of, tool_turn, turn
from worker.chat.raw import RawLayout
from worker.chat.vocabulary import ControlFinder, Vocabulary
from worker.images import decode

Tensors = Mapping[str, torch.Tensor]


def load_processor(folder: Path, config: Any) -> Any:
    """The processor of the image-text model in ``folder``, from local files."""
    found = {"local_files_only": True, "trust_remote_code": False}
    kind: Any = PROCESSOR_MAPPING.get(type(config), None)
    has_videos = kind is not None and "video_processor" in kind.get_attributes()
    short = has_videos and not is_torchvision_available()
    processor = (_without_videos(kind) if short else AutoProcessor).from_pretrained(folder, **found)
    if processor.chat_template is None:  # some repositories keep it with the tokenizer
        processor.chat_template = processor.tokenizer.chat_template
    return processor


def _without_videos(kind: Any) -> Any:
    """``kind`` less its part for videos, which alone needs torchvision."""

    class ImageProcessor(kind):  # type: ignore[misc]
        @classmethod
        def get_attributes(cls) -> list[str]:
            return [name for name in super().get_attributes() if name != "video_processor"]

    return ImageProcessor


def vision_prompts(
    processor: Any, vocabulary: Vocabulary, dtype: torch.dtype, max_pixels: int
) -> VisionPrompts | None:
    """How a model with this ``processor`` takes images; None where it has none."""
    if processor is None:
        return None
    return VisionPrompts(processor, vocabulary, dtype, max_pixels)


class VisionPrompts:
    """The `Prompts` of a model with this ``processor``. Images are scaled down to at most
    ``max_pixels`` each."""

    def __init__(
        self, processor: Any, vocabulary: Vocabulary, dtype: torch.dtype, max_pixels: int
    ) -> None:
        self._processor = processor
        self.vocabulary = vocabulary
        self.raw = RawLayout(vocabulary)
        self._finder = ControlFinder(vocabulary.control)
        self._dtype = dtype
        self._max_pixels = max_pixels
        self.use_dialect("auto")

    def use_dialect(self, wanted: str) -> None:
        source = self._processor.chat_template
        self.dialect = dialect_of(
            self._rendered_if_taken, source if isinstance(source, str) else "", wanted
        )

    def _rendered_if_taken(
        self,
        turns: Sequence[Turn],
        tools: Sequence[Turn] = (),
        arguments: Mapping[str, Any] = MappingProxyType({}),
    ) -> str:
        """What the template makes of ``turns``; nothing where it refuses them."""
        probe = [one | {"content": in_parts(one["content"])} for one in turns]
        try:
            text: str = self._processor.apply_chat_template(
                probe, tools=list(tools) or None, tokenize=False, **arguments
            )
        except Exception:  # somebody else's program
            return ""
        return text

    def lay_out(self, messages: Sequence[Message], offered: Offered = NOTHING) -> Prompt:
        """The prompt. Its images stay off the device until its turn has come.

        Raises `UndecodableMedia`, or `InvalidRequest` where the model's template wants something
        else than these messages.
        """
        given = self._given(messages, offered)
        try:
            found = self._processor.apply_chat_template(
                given.turns,
                tools=given.tools,
                tokenize=True,
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
                # A text may name the model's control tokens, the place of an image among them.
                sanitize_control_tokens=True,
                # The template writes the special tokens itself.
                processor_kwargs={"add_special_tokens": False},
                **given.arguments,
                **{name: self._checked(name, value) for name, value in offered.arguments.items()},
            )
        except (
            jinja2.TemplateError,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            raise InvalidRequest(
                f"the model cannot take these messages: {error}", param="messages"
            ) from error
        ids: list[int] = found.pop("input_ids")[0].tolist()
        tail = tail_of(ids, self.vocabulary)
        if not any(message.images for message in messages):
            return Prompt(ids, tail=tail)
        found.pop("attention_mask", None)
        images = {name: self._cast(value) for name, value in found.items()}
        return Prompt(ids, images, tail=tail)

    def _given(self, messages: Sequence[Message], offered: Offered) -> ForTemplate:
        """The messages as templates for images take them, every content in parts."""
        turns: list[Turn] = []
        images = 0
        for message in messages:
            content: str | list[dict[str, Any]] = message.text
            if not isinstance(message.content, str):
                content = []
                for part in message.content:
                    if isinstance(part, Image):
                        images += 1
                        pixels = decode(part.file.data, f"image {images}", self._max_pixels)
                        content.append({"type": "image", "image": pixels})
                    else:
                        content.append({"type": "text", "text": part.text})
            turns.append(turn(message, str, self._checked_key) | {"content": content})
        tools = [tool_turn(one, str, self._checked_key) for one in offered.tools]
        given = self.dialect.history(turns, tools, must_call=offered.must_call)
        in_all = [one | {"content": in_parts(one["content"])} for one in given.turns]
        return given._replace(turns=in_all)

    def _checked(self, name: str, value: Any) -> Any:
        """A keyword for the template, in which control tokens would be read as such."""
        if isinstance(value, str) and self._finder.first(value, 0) is not None:
            raise InvalidRequest(
                f"the template's keyword {name!r} holds a control token of the model",
                param="chat_template_kwargs",
            )
        return value

    def _checked_key(self, key: str) -> str:
        """transformers makes control tokens text in all that it is given but the keys."""
        if self._finder.first(key, 0) is not None:
            raise InvalidRequest(
                f"the argument {key!r} of a tool call is named like a control token of the model",
                param="messages",
            )
        return key

    def _cast(self, value: torch.Tensor) -> torch.Tensor:
        return value.to(self._dtype) if value.is_floating_point() else value


def take_shift(model: Any) -> int:
    """How far the positions after the prompt just read are from its count of tokens.

    Qwen-VL models number an image by rows and columns, so that it takes fewer positions than
    tokens; they keep the difference for one batch of their own, which must not outlive this call.
    """
    inner: Any = getattr(model, "model", None)
    deltas = getattr(inner, "rope_deltas", None)
    if deltas is None:
        return 0
    inner.rope_deltas = None
    return int(deltas[0, 0])
