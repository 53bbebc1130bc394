"""Images in a chat on OpenVINO GenAI, for models in the layout that optimum-intel exports.

The library reads images by itself; what has to be known here is how many tokens each takes, before
the model has a slot for it, and what stands around it in the prompt.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import openvino
from numpy.typing import NDArray

from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Message
from worker.chat.prompt import NOTHING, Layout, Offered, Part, Prompt
from worker.chat.raw import tokens_of
from worker.chat.template import Template
from worker.chat.vocabulary import Vocabulary
from worker.engine import LoadError
from worker.engines.openvino_chat.id_tokenizer import ids_as_text
from worker.images import decode

# The kinds of models, by their config.json, whose images can be counted: all are Qwen's, with the
# same marks, and as many tokens as squares of an image.
KINDS = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")
_STARTS, _PLACE, _ENDS, _VIDEO = (
    "<|vision_start|>",
    "<|image_pad|>",
    "<|vision_end|>",
    "<|video_pad|>",
)
MARKS = (_STARTS, _PLACE, _ENDS, _VIDEO)
# An image's place in a prompt, as the library looks for it.
_TAG = f"{_STARTS}{_PLACE}{_ENDS}"

_FILE = "preprocessor_config.json"
_PIXELS = "pixels"


class _Size(msgspec.Struct):
    shortest_edge: int | None = None
    longest_edge: int | None = None


class _Processor(msgspec.Struct):
    """What stands in preprocessor_config.json, or the library's own defaults."""

    patch_size: int = 14
    merge_size: int = 2
    min_pixels: int | None = None
    max_pixels: int | None = None
    size: _Size = msgspec.field(default_factory=_Size)


class ImageSize(NamedTuple):
    """How the library scales an image: to sides that are multiples of ``unit_pixels``, and to a
    number of pixels in these bounds. Each square of that side is a token."""

    unit_pixels: int
    min_pixels: int
    max_pixels: int

    @classmethod
    def read(cls, folder: Path) -> ImageSize:
        """As the checkpoint in ``folder`` says. Raises `LoadError`."""
        file = folder / _FILE
        try:
            found = msgspec.json.decode(file.read_bytes(), type=_Processor)
        except (OSError, msgspec.DecodeError) as error:
            raise LoadError(
                f"{file}, by which images are scaled, cannot be read: {error}; fetch the model "
                "again"
            ) from error
        least, most = found.min_pixels, found.max_pixels
        if least is None and most is None:
            least, most = found.size.shortest_edge, found.size.longest_edge
        return cls(found.patch_size * found.merge_size, least or 3136, most or 12_845_056)

    def tokens(self, height: int, width: int) -> int:
        """How many tokens an image of so many pixels takes."""
        unit = self.unit_pixels
        rows, columns = (math.floor(side / unit + 0.5) for side in (height, width))
        pixels = rows * columns * unit * unit
        if pixels > self.max_pixels:
            shrink = math.sqrt(height * width / self.max_pixels)
            rows, columns = (math.floor(side / shrink / unit) for side in (height, width))
        elif pixels < self.min_pixels:
            grow = math.sqrt(self.min_pixels / (height * width))
            rows, columns = (math.ceil(side * grow / unit) for side in (height, width))
        return rows * columns


class Marks:
    """The tokens around images, by their ids in ``vocabulary``."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        absent = [text for text in MARKS if text not in vocabulary.control]
        if absent:
            raise LoadError(f"the model's tokenizer has no token {absent[0]}, but sees images")
        self.ids = {text: vocabulary.control[text].id for text in MARKS}
        self.place = self.ids[_PLACE]
        self._texts = {at: text for text, at in self.ids.items()}

    def written(self, prompt: Prompt) -> tuple[str, list[Any]]:
        """``prompt`` as the library takes it: as a text for the tokenizer of ids, and its images.

        Raises `InvalidRequest` for a mark that is around no image, where the library would look for
        one.
        """
        pixels: Sequence[NDArray[np.uint8]] = prompt.images.get(_PIXELS, ())
        pieces = []
        for token, same in groupby(prompt.tokens):
            if token == self.place:
                pieces.append(_PLACE)  # as often as the library finds right
            else:
                pieces += [self._texts.get(one) or ids_as_text([one]) for one in same]
        text = "".join(pieces)
        if text.count(_TAG) != len(pixels) or "<" in text.replace(_TAG, ""):
            raise InvalidRequest(
                f"the prompt names a token for the place of an image ({', '.join(MARKS)}); send "
                "images as parts of messages",
                param="prompt",
            )
        return text, [openvino.Tensor(each) for each in pixels]


class VisionLayout(Layout):
    """The `Prompts` of a model that takes images, each scaled down to at most ``max_pixels``."""

    def __init__(
        self,
        template: Template,
        vocabulary: Vocabulary,
        marks: Marks,
        size: ImageSize,
        max_pixels: int,
    ) -> None:
        super().__init__(template, vocabulary)
        self._marks = marks
        self._size = size
        self._max_pixels = max_pixels

    def lay_out(self, messages: Sequence[Message], offered: Offered = NOTHING) -> Prompt:
        pixels = [*self._pixels(messages)]
        if not pixels:
            return super().lay_out(messages, offered)
        parts = self.parts(messages, offered)
        tokens = tokens_of(self._with_places(parts, pixels), self.vocabulary)
        return Prompt(tokens, {_PIXELS: pixels}, tail=self.tail(parts))

    def _pixels(self, messages: Sequence[Message]) -> list[NDArray[np.uint8]]:
        """The images in ``messages``. Raises `UndecodableMedia`."""
        images = (image for message in messages for image in message.images)
        decoded = (
            decode(image.file.data, f"image {at}", self._max_pixels)
            for at, image in enumerate(images, start=1)
        )
        return [np.asarray(image, dtype=np.uint8)[None] for image in decoded]

    def _with_places(
        self, parts: Sequence[Part], pixels: Sequence[NDArray[np.uint8]]
    ) -> list[Part]:
        """``parts`` with a token for each that an image takes. Raises `InvalidRequest`."""
        place = self._marks.place
        if parts.count(place) != len(pixels):
            raise InvalidRequest(
                "the model's template has no place for these images", param="messages"
            )
        counts = (self._size.tokens(*each.shape[1:3]) for each in pixels)
        placed: list[Part] = []
        for part in parts:
            placed += [place] * next(counts) if part == place else [part]
        return placed


def check_kind(folder: Path) -> None:
    """Raises `LoadError` where the model in ``folder`` is of a kind whose images are not known."""
    kind = config_of(folder).get("model_type")
    if kind not in KINDS:
        raise LoadError(
            f"engine openvino takes images by models of the kinds {', '.join(KINDS)}, and "
            f"{folder / 'config.json'} says {kind!r}; set vision: false to serve its texts, or "
            "serve the original checkpoint by engine torch"
        )


def config_of(folder: Path) -> Mapping[str, Any]:
    """The model's config.json; nothing where it cannot be read."""
    try:
        found = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
