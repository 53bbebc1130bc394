"""POST /v1/embeddings: what is asked, as an `EmbedInput`."""

from __future__ import annotations

from typing import Literal

from frontend.api import known_keys
from frontend.api.fields import AtLeastOne, Name
from frontend.api.texts import Texts
from frontend.api.truncation import Truncating
from ipc.messages.jobs import EmbedInput


class EmbeddingRequest(Truncating):
    REFUSED = known_keys.refused_keys(known_keys.EMBEDDINGS)

    model: Name
    input: Texts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: AtLeastOne | None = None

    def to_input(self) -> EmbedInput:
        """The job. Raises `InvalidRequest` where its wishes are at odds."""
        return EmbedInput(
            texts=[self.input] if isinstance(self.input, str) else self.input,
            dimensions=self.dimensions,
            truncation=self.truncation(),
        )
