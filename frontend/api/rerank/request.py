"""POST /v1/rerank and its other names: what is asked, as a `RerankInput`.

The shape is what Cohere and Jina have in common, and Open WebUI, LiteLLM and vLLM with them. A body
with ``texts`` is one of Hugging Face's text-embeddings-inference (TEI), whose answer is another.
https://docs.cohere.com/reference/rerank, https://huggingface.github.io/text-embeddings-inference
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from frontend.api import known_keys
from frontend.api.texts import check_count, checked_text
from frontend.api.truncation import Truncating
from frontend.api.validate import WHOLE, Name, check, refuse_unsupported
from ipc.messages.control import Serve
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import RerankInput

# Cohere's two versions, and llama.cpp's names.
RERANK_PATHS = ("/v1/rerank", "/rerank", "/v2/rerank", "/v1/reranking", "/reranking")

REFUSED = known_keys.refused_keys(known_keys.RERANK)


class RerankRequest(Truncating):
    """``documents`` is looked into by hand: its limits are the server's, not the API's."""

    model: Name
    query: str
    documents: list[Any]
    top_n: Annotated[int, Field(ge=1), WHOLE] | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: Annotated[int, Field(ge=1), WHOLE] | None = None

    def to_input(self, limits: Serve) -> RerankInput:
        """The job. Raises `InvalidRequest` where the texts exceed ``limits`` or are no texts."""
        return RerankInput(
            query=_query(self.query, limits),
            documents=_documents(self.documents, "documents", limits),
            document_tokens=self.max_tokens_per_doc,
            truncation=self.truncation(),
        )


class TextsRerankRequest(Truncating):
    """TEI's. Its server has one model, so ``model`` may be left out where there is one reranker."""

    model: Name | None = None
    query: str
    texts: list[Any]
    raw_scores: bool = False
    return_text: bool = False

    def to_input(self, limits: Serve) -> RerankInput:
        """The job. Raises `InvalidRequest` where the texts exceed ``limits`` or are no texts."""
        return RerankInput(
            query=_query(self.query, limits),
            documents=_documents(self.texts, "texts", limits),
            truncation=self.truncation(),
            activation="Identity" if self.raw_scores else "Sigmoid",
        )


def parse_rerank(data: Mapping[str, Any]) -> RerankRequest | TextsRerankRequest:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    refuse_unsupported(data, REFUSED)
    if data.get("texts") is not None:
        return check(TextsRerankRequest, data)
    return check(RerankRequest, data)


def _query(given: str, limits: Serve) -> str:
    if not given:
        raise InvalidRequest("`query` must not be empty", param="query")
    return checked_text(given, "query", limits)


def _documents(given: list[Any], path: str, limits: Serve) -> list[str]:
    check_count(given, path, limits)
    return [_document(each, f"{path}[{at}]", limits) for at, each in enumerate(given)]


def _document(given: object, path: str, limits: Serve) -> str:
    """A string, or an object with a ``text``. It may be empty."""
    if isinstance(given, dict) and "text" in given:
        given, path = given["text"], f"{path}.text"
    if not isinstance(given, str):
        raise InvalidRequest(f"`{path}` must be a string or an object with a `text`", param=path)
    return checked_text(given, path, limits)
