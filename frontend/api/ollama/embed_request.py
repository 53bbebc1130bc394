"""POST /api/embed, and the /api/embeddings before it: what is asked, as an `EmbedInput`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, Tag

from frontend.api.fields import WHOLE, Batch, Name, ServerText, text_or
from frontend.api.known_keys import Row, done, harmless
from frontend.api.ollama.keep_alive import KeepAlive
from frontend.api.validate import Body
from ipc.messages.jobs import EmbedInput, Truncation

_HARMLESS = harmless("options", "how Ollama picks words and loads models; no vector depends on it")
_KEEP_ALIVE = done("keep_alive", "how long the model stays without work, as for chats")

KEYS: tuple[Row, ...] = (
    done("model", "required; a `:latest` that a client adds is accepted"),
    done("input", "a text or a list; without any there are no vectors"),
    done("truncate", "true where it is left out: texts that are too long lose their end"),
    done("dimensions", "what the model was trained for; 0 is all"),
    _KEEP_ALIVE,
    _HARMLESS,
)
OLDER_KEYS: tuple[Row, ...] = (
    done("model prompt", "the first is required; without a text there is no vector"),
    _KEEP_ALIVE,
    _HARMLESS,
)

Texts = Annotated[
    Annotated[ServerText, Tag("<text>")] | Annotated[list[ServerText], Batch, Tag("<texts>")],
    text_or("<texts>", list, "must be a string or an array of strings"),
]


class OllamaEmbedRequest(Body):
    EXAMPLE = {"input": "Hi"}

    model: Name
    input: Texts | None = None
    truncate: bool | None = None
    dimensions: Annotated[int, Field(ge=0), WHOLE] | None = None
    keep_alive: KeepAlive | None = None

    @property
    def texts(self) -> list[str]:
        if isinstance(self.input, str):
            return [self.input] if self.input else []
        return self.input or []

    def to_input(self) -> EmbedInput:
        return EmbedInput(
            texts=self.texts,
            dimensions=self.dimensions or None,
            truncation=Truncation(cut=self.truncate is not False),
        )


class OllamaEmbeddingsRequest(Body):
    EXAMPLE = {"prompt": "Hi"}

    model: Name
    prompt: ServerText | None = None
    keep_alive: KeepAlive | None = None

    def to_input(self) -> EmbedInput:
        return EmbedInput(texts=[self.prompt or ""], truncation=Truncation(cut=True))
