"""POST /v1/rerank: what is asked, as a `RerankInput`.

The shape is what Cohere and Jina have in common, and Open WebUI, LiteLLM and vLLM with them.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from frontend.schemas.texts import checked_text
from frontend.schemas.validate import WHOLE, Body, Name
from ipc.control import Serve
from ipc.errors import InvalidRequest
from ipc.types import RerankInput


class RerankRequest(Body):
    """``documents`` is looked into by hand: its limits are the server's, not the API's."""

    model: Name
    query: str
    documents: list[Any]
    top_n: Annotated[int, Field(ge=1), WHOLE] | None = None
    return_documents: bool | None = None

    def to_input(self, limits: Serve) -> RerankInput:
        """The job. Raises `InvalidRequest` where the texts exceed ``limits`` or are no texts."""
        if not self.documents:
            raise InvalidRequest("`documents` must have at least 1 item", param="documents")
        if len(self.documents) > limits.max_batch_size:
            raise InvalidRequest(
                f"`documents` must have at most {limits.max_batch_size} items", param="documents"
            )
        return RerankInput(
            query=checked_text(self.query, "query", limits),
            documents=[
                _document(given, f"documents[{at}]", limits)
                for at, given in enumerate(self.documents)
            ],
        )


def _document(given: object, path: str, limits: Serve) -> str:
    """A string, or an object with a ``text``. It may be empty."""
    if isinstance(given, dict) and "text" in given:
        given, path = given["text"], f"{path}.text"
    if not isinstance(given, str):
        raise InvalidRequest(f"`{path}` must be a string or an object with a `text`", param=path)
    return checked_text(given, path, limits) if given else given
