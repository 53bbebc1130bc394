"""POST /v1/embeddings: what is asked, as an `EmbedInput`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from frontend.api import known_keys
from frontend.api.texts import checked_texts
from frontend.api.truncation import Truncating
from frontend.api.validate import WHOLE, Name, check, refuse_unsupported
from ipc.messages.control import Serve
from ipc.messages.jobs import EmbedInput

REFUSED = known_keys.refused_keys(known_keys.EMBEDDINGS)


class EmbeddingRequest(Truncating):
    """``input`` is looked into by hand: its limits are the server's, not the API's."""

    model: Name
    input: Any
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1), WHOLE] | None = None

    def to_input(self, limits: Serve) -> EmbedInput:
        """The job. Raises `InvalidRequest` where the texts exceed ``limits`` or are no texts."""
        return EmbedInput(
            texts=checked_texts(self.input, "input", limits),
            dimensions=self.dimensions,
            truncation=self.truncation(),
        )


def parse_embedding(data: Mapping[str, Any]) -> EmbeddingRequest:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    refuse_unsupported(data, REFUSED)
    return check(EmbeddingRequest, data)
