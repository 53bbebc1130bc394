"""POST /score and /v1/score as in vLLM: how much each text has to do with one, in their order.

https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html#score-api
"""

from __future__ import annotations

import time
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, Tag

from frontend.api.answer import Answer, PromptUsage
from frontend.api.fields import Batch, Name, Schema, ServerText, text_or
from frontend.api.known_keys import Row, done, harmless, refused, refused_keys
from frontend.api.queued import KEY as QUEUED
from frontend.api.queued import Queued
from frontend.api.rerank.request import Query
from frontend.api.truncation import AT_ODDS, Truncating
from ipc.messages.errors import InvalidRequest
from ipc.messages.events import Usage
from ipc.messages.jobs import RerankInput

SCORE_PATHS = ("/v1/score", "/score")

KEYS: tuple[Row, ...] = (
    done("model", "may be left out where there is one reranker"),
    done(
        "queries text_1",
        "required, one of them: a text, or a list of one; the second is the older name",
    ),
    done("documents text_2", "required, one of them: a text or a list"),
    done(
        "truncate truncate_prompt_tokens truncation_direction truncation_side",
        "what becomes of texts that are too long",
    ),
    QUEUED,
    harmless("user request_id cache_salt mm_processor_kwargs", "bookkeeping"),
    refused("use_activation softmax activation", "not built"),
    refused("instruction chat_template chat_template_kwargs", "not built"),
)
_Texts = str | list[str] | None
_SOME: Schema = {"not": {"type": "null"}}


def _either(one: str, other: str) -> Schema:
    return {"anyOf": [{"properties": {name: _SOME}, "required": [name]} for name in (one, other)]}


# vLLM also pairs as many queries with as many documents; a list of one is the same as the text.
OneQuery = Annotated[
    Annotated[Query, Tag("<text>")]
    | Annotated[list[Query], Field(min_length=1, max_length=1), Tag("<texts>")],
    text_or("<texts>", list, "must be a string or an array of one"),
]
SomeTexts = Annotated[
    Annotated[ServerText, Tag("<text>")]
    | Annotated[list[ServerText], Field(min_length=1), Batch, Tag("<texts>")],
    text_or("<texts>", list, "must be a string or an array of strings"),
]


class ScoreRequest(Queued, Truncating):
    model_config = ConfigDict(
        json_schema_extra={
            "allOf": [AT_ODDS, _either("queries", "text_1"), _either("documents", "text_2")]
        }
    )
    REFUSED = refused_keys(KEYS)
    EXAMPLE = {"queries": "a small bear", "documents": ["panda", "paris"]}

    model: Name | None = None
    queries: OneQuery | None = None
    text_1: OneQuery | None = None
    documents: SomeTexts | None = None
    text_2: SomeTexts | None = None

    def to_input(self) -> RerankInput:
        """The job. Raises `InvalidRequest` where a text is missing, or wishes are at odds."""
        query = _given("queries", self.queries, "text_1", self.text_1)
        documents = _given("documents", self.documents, "text_2", self.text_2)
        return RerankInput(
            query=query[0],
            documents=documents,
            truncation=self.truncation(),
        )


def _given(name: str, newer: _Texts, older_name: str, older: _Texts) -> list[str]:
    texts = older if newer is None else newer
    if texts is None:
        raise InvalidRequest(f"`{name}`, or `{older_name}`, is required", param=name)
    return [texts] if isinstance(texts, str) else texts


class Score(Answer):
    """One text's, described for ``/openapi.json``."""

    index: int
    object: Literal["score"]
    score: float


class Scores(Answer):
    id: str
    object: Literal["list"]
    created: int
    model: str
    data: list[Score]
    usage: PromptUsage


def scores_object(model: str, scores: Any, usage: Usage, request_id: str) -> dict[str, Any]:
    """``scores`` is an array of numbers, in the order of the request."""
    return {
        "id": f"score-{request_id}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": [
            {"index": at, "object": "score", "score": score} for at, score in enumerate(scores)
        ],
        "usage": {"prompt_tokens": usage.prompt_tokens, "total_tokens": usage.prompt_tokens},
    }
