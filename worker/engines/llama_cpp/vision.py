"""Images in a chat on llama.cpp: a marker in the text of the prompt, and a file for each."""

from __future__ import annotations

import base64
import http
import io
from collections.abc import Sequence
from typing import Any

import msgspec

from ipc.messages.errors import InternalError, InvalidRequest
from ipc.messages.jobs import Image, Message
from worker.chat.prompt import NOTHING, Layout, Offered, Part, Prompt
from worker.chat.raw import tokens_of
from worker.engines.llama_cpp.private_socket import PrivateSocket
from worker.images import decode

# In the place of each token of an image: those have no ids.
_OF_AN_IMAGE = -1
_COUNT = "/v1/chat/completions/input_tokens"
_WORD = "x"


class _Props(msgspec.Struct):
    media_marker: str


class _Counted(msgspec.Struct):
    input_tokens: int


class VisionLayout(Layout):
    """The `Prompts` of a model that takes images.

    A prompt with images is a text to llama.cpp, in which it reads control tokens: so nothing that a
    request brings may name one there. One without is tokens, as ever.
    """

    def see_by(self, place: PrivateSocket) -> None:
        """Ask the server at ``place`` what images come to."""
        self._place = place
        # Drawn at random by the server, so no request can name it.
        self._marker = msgspec.json.decode(place.ask("/props")[1], type=_Props).media_marker
        self._without_images = self._input_tokens([])

    def lay_out(self, messages: Sequence[Message], offered: Offered = NOTHING) -> Prompt:
        images = (image for message in messages for image in message.images)
        files = [_file(image, f"image {at}") for at, image in enumerate(images, start=1)]
        if not files:
            return super().lay_out(messages, offered)
        marked = [_marked(message, self._marker) for message in messages]
        parts = self.parts(marked, offered)
        text = self._text(parts, len(files))
        tokens = self._counted(parts, files)
        return Prompt(
            tokens,
            {"prompt_string": text, "multimodal_data": files},
            tail=self.tail(parts),
        )

    def _text(self, parts: Sequence[Part], images: int) -> str:
        """The prompt as a text. Raises `InvalidRequest`."""
        texts = [part if isinstance(part, str) else self.vocabulary.name(part) for part in parts]
        text = "".join(map(str, texts))
        controls = [part for part in parts if isinstance(part, int)]
        read = [
            self.vocabulary.control[text[start:end]].id for start, end in self._finder.spans(text)
        ]
        if read != controls:
            raise InvalidRequest(
                "beside images engine llama.cpp takes no text that names a control token of the "
                "model; leave it out",
                param="messages",
            )
        if text.count(self._marker) != images:
            raise InvalidRequest(
                "the model's template has no place for these images", param="messages"
            )
        # The server puts it there itself.
        begins = [*self.vocabulary.begins]
        begun = begins and parts[: len(begins)] == begins
        return "".join(map(str, texts[len(begins) :])) if begun else text

    def _counted(self, parts: Sequence[Part], files: Sequence[str]) -> list[int]:
        cut: list[Part] = []
        for part in parts:
            pieces = part.split(self._marker) if isinstance(part, str) else [part]
            cut += [piece for piece in pieces if piece != ""]
        tokens = tokens_of(cut, self.vocabulary)
        begins = [*self.vocabulary.begins]
        if tokens[: len(begins)] != begins:
            tokens = [*begins, *tokens]
        of_images = self._input_tokens(files) - self._without_images
        return [*tokens, *[_OF_AN_IMAGE] * of_images]

    def _input_tokens(self, files: Sequence[str]) -> int:
        content: list[dict[str, Any]] = [{"type": "text", "text": _WORD}]
        for file in files:
            url = {"url": f"data:image/png;base64,{file}"}
            content.append({"type": "image_url", "image_url": url})
        asked = {"messages": [{"role": "user", "content": content}]}
        status, body = self._place.ask(_COUNT, asked)
        if status != http.HTTPStatus.OK:
            raise InternalError("llama.cpp cannot count the tokens of these images")
        return msgspec.json.decode(body, type=_Counted).input_tokens


def _file(image: Image, which: str) -> str:
    """``image`` as a small PNG, whatever it was: llama.cpp's decoders are not to see a stranger's
    file. Raises `UndecodableMedia`."""
    file = io.BytesIO()
    decode(image.file.data, which).save(file, "PNG", compress_level=1)
    return base64.b64encode(file.getvalue()).decode()


def _marked(message: Message, marker: str) -> Message:
    """``message`` with ``marker`` in place of each image; texts beside each other are lines."""
    if isinstance(message.content, str):
        return message
    content = ""
    after_text = False
    for part in message.content:
        if isinstance(part, Image):
            content += marker
        else:
            content += ("\n" if after_text else "") + part.text
        after_text = not isinstance(part, Image)
    return msgspec.structs.replace(message, content=content)
