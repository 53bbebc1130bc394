"""POST /v1/rerank and its other names: what is asked, as a `RerankInput`.

The shape is what Cohere and Jina have in common, and Open WebUI, LiteLLM and vLLM with them. A body
with ``texts`` is one of Hugging Face's text-embeddings-inference (TEI), whose answer is another.
https://docs.cohere.com/reference/rerank, https://huggingface.github.io/text-embeddings-inference
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, Tag

from frontend.api.fields import AtLeastOne, AtMost, Batch, Name, ServerText, text_or
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.queued import KEY as QUEUED
from frontend.api.queued import Queued
from frontend.api.truncation import Truncating
from frontend.api.validate import Body, check
from ipc.messages.control import Serve
from ipc.messages.jobs import RerankInput

# Cohere's two versions, and llama.cpp's names.
RERANK_PATHS = ("/v1/rerank", "/rerank", "/v2/rerank", "/v1/reranking", "/reranking")

KEYS: tuple[Row, ...] = (
    done("model query documents", "required; documents are texts, or objects with a `text`"),
    done("top_n return_documents max_tokens_per_doc", "as Cohere and Jina have them"),
    done("texts raw_scores return_text", "TEI's form"),
    done(
        "truncate truncate_prompt_tokens truncation_direction truncation_side",
        "what becomes of texts that are too long",
    ),
    QUEUED,
    harmless("user request_id rid cache_salt", "bookkeeping and scheduling"),
    harmless("mm_processor_kwargs", "texts only"),
    refused("top_k", "Voyage's name; send `top_n`"),
    refused("instruct instruction task prompt_name", "not built"),
    refused("rank_fields", "send the `text` only", [], ["text"]),
    refused("max_chunks_per_doc", "a document is not cut up", 1),
    refused("use_activation softmax activation", "not built"),
    refused("return_embeddings", "not built", False),
    refused("chat_template_kwargs", "not built", {}),
)

_REFUSED = refused_keys(KEYS)


class TextObject(Body):
    """A document with other fields than its text, which are skipped."""

    text: ServerText


Document = Annotated[
    Annotated[ServerText, Tag("<text>")] | Annotated[TextObject, Tag("<object>")],
    text_or("<object>", dict, "must be a string or an object with a `text`"),
]
Documents = Annotated[list[Document], Field(min_length=1), Batch]
Query = Annotated[str, Field(min_length=1), AtMost("max_text_chars", "characters")]


class RerankRequest(Queued, Truncating):
    REFUSED = _REFUSED
    EXAMPLE = {"query": "a small bear", "documents": ["panda", "paris"]}

    model: Name
    query: Query
    documents: Documents
    texts: None = None
    top_n: AtLeastOne | None = None
    return_documents: bool | None = None
    max_tokens_per_doc: AtLeastOne | None = None

    def to_input(self) -> RerankInput:
        """The job. Raises `InvalidRequest` where its wishes are at odds."""
        return RerankInput(
            query=self.query,
            documents=[_text(each) for each in self.documents],
            document_tokens=self.max_tokens_per_doc,
            truncation=self.truncation(),
        )


class TextsRerankRequest(Queued, Truncating):
    """TEI's. Its server has one model, so ``model`` may be left out where there is one reranker."""

    REFUSED = _REFUSED

    model: Name | None = None
    query: Query
    texts: Documents
    raw_scores: bool = False
    return_text: bool = False

    def to_input(self) -> RerankInput:
        """The job. Raises `InvalidRequest` where its wishes are at odds."""
        return RerankInput(
            query=self.query,
            documents=[_text(each) for each in self.texts],
            truncation=self.truncation(),
            activation="Identity" if self.raw_scores else "Sigmoid",
        )


def parse_rerank(data: Mapping[str, Any], limits: Serve) -> RerankRequest | TextsRerankRequest:
    """The checked request. Raises `InvalidRequest`, or `UnsupportedParameter`."""
    if data.get("texts") is not None:
        return check(TextsRerankRequest, data, limits)
    return check(RerankRequest, data, limits)


def _text(given: str | TextObject) -> str:
    return given if isinstance(given, str) else given.text
