"""POST /embedding and /embeddings as in llama.cpp's server: what is asked, as an `EmbedInput`.

Its README documents ``content`` for the first and ``input`` for the second; its code takes either
for both, as a string, an object with ``prompt_string``, or an array of these.
https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from frontend.api import known_keys
from frontend.api.texts import checked_texts
from frontend.api.truncation import Truncating
from frontend.api.validate import Name, check, refuse_unsupported
from ipc.messages.control import Serve
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import EmbedInput

REFUSED = known_keys.refused_keys(known_keys.PLAIN_EMBEDDINGS)


class PlainEmbeddingRequest(Truncating):
    """``model`` may be left out where there is only one to take."""

    model: Name | None = None
    content: Any = None
    input: Any = None

    def to_input(self, limits: Serve) -> EmbedInput:
        """The job. Raises `InvalidRequest` where the texts exceed ``limits`` or are no texts."""
        path, given = ("content", self.content) if self.input is None else ("input", self.input)
        if given is None:
            raise InvalidRequest("`content` is required", param="content")
        bare = [_bare(each) for each in given] if isinstance(given, list) else _bare(given)
        return EmbedInput(texts=checked_texts(bare, path, limits), truncation=self.truncation())


def parse_plain_embedding(data: Mapping[str, Any]) -> PlainEmbeddingRequest:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    refuse_unsupported(data, REFUSED)
    return check(PlainEmbeddingRequest, data)


def _bare(given: object) -> object:
    """The text of an object that has one, else what was given."""
    if not isinstance(given, dict):
        return given
    refuse_unsupported(given, REFUSED)
    return given.get("prompt_string", given.get("content"))
