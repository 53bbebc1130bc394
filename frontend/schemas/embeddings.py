"""POST /v1/embeddings: what is asked, as an `EmbedInput`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from frontend.schemas.validate import Body, Name, no_nul
from ipc.control import Serve
from ipc.errors import InvalidRequest
from ipc.types import EmbedInput


class EmbeddingRequest(Body):
    """``input`` is looked into by hand: its limits are the server's, not the API's."""

    model: Name
    input: Any
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None

    def to_input(self, limits: Serve) -> EmbedInput:
        """The job. Raises `InvalidRequest` where the texts exceed ``limits`` or are no texts."""
        return EmbedInput(texts=_texts(self.input, limits), dimensions=self.dimensions)


def _texts(given: object, limits: Serve) -> list[str]:
    if isinstance(given, str):
        return [_text(given, "input", limits)]
    if not isinstance(given, list):
        raise InvalidRequest("`input` must be a string or an array of strings", param="input")
    if not given:
        raise InvalidRequest("`input` must have at least 1 item", param="input")
    if isinstance(given[0], int | list):
        raise InvalidRequest(
            "`input` must be text: token ids mean something else to each model. With LangChain's "
            "OpenAIEmbeddings, set check_embedding_ctx_length=False",
            param="input",
        )
    if len(given) > limits.max_batch_size:
        raise InvalidRequest(
            f"`input` must have at most {limits.max_batch_size} items", param="input"
        )
    return [_text(text, f"input[{at}]", limits) for at, text in enumerate(given)]


def _text(given: object, path: str, limits: Serve) -> str:
    if not isinstance(given, str):
        raise InvalidRequest(f"`{path}` must be a string", param=path)
    if not given:
        raise InvalidRequest(f"`{path}` must not be empty", param=path)
    if len(given) > limits.max_text_chars:
        raise InvalidRequest(
            f"`{path}` must have at most {limits.max_text_chars} characters", param=path
        )
    try:
        return no_nul(given)
    except ValueError as error:
        raise InvalidRequest(f"`{path}` {error}", param=path) from None
