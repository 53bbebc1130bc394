"""The routes of OpenAI's API for chats, embeddings and models; those of llama.cpp's for vectors."""

from __future__ import annotations

from frontend.api.compat.llama_cpp_embeddings import PlainEmbedding, PlainEmbeddingRequest
from frontend.api.openai import answers
from frontend.api.openai.chat import Chat
from frontend.api.openai.chat_request import ChatRequest
from frontend.api.openai.embeddings import Embeddings
from frontend.api.openai.embeddings_request import EmbeddingRequest
from frontend.api.openai.models import Models
from frontend.api.route import EVENTS, JSON, Route
from ipc.tasks import TASKS

CHAT = Route(
    method="POST",
    path=TASKS["chat"].path,
    id="chat",
    summary="Answer a conversation, whole or as a stream",
    answer=lambda its: Chat(its).complete,
    task="chat",
    takes=(ChatRequest,),
    gives={JSON: answers.ChatCompletion, EVENTS: None},
)
EMBEDDINGS = Route(
    method="POST",
    path=TASKS["embed"].path,
    id="embeddings",
    summary="A vector for each text",
    answer=lambda its: Embeddings(its.dispatcher, its.serve).create,
    task="embed",
    takes=(EmbeddingRequest,),
    gives={JSON: answers.EmbeddingList},
)
_PLAIN_EMBEDDINGS = tuple(
    Route(
        method="POST",
        path=path,
        id=name,
        summary=summary,
        answer=lambda its: Embeddings(its.dispatcher, its.serve).create_plain,
        task="embed",
        takes=(PlainEmbeddingRequest,),
        gives={JSON: [PlainEmbedding]},
    )
    for path, name, summary in (
        ("/embedding", "embedding_plain", "A vector for each text, as llama.cpp's server gives it"),
        ("/embeddings", "embeddings_plain", "The same, under its other name"),
    )
)

_MODELS = (
    Route(
        method="GET",
        path="/v1/models",
        id="models",
        summary="The configured models",
        answer=lambda its: Models(its.dispatcher).index,
        gives={JSON: answers.ModelList},
    ),
    Route(
        method="GET",
        path="/v1/models/{model}",
        id="model",
        summary="One of them",
        answer=lambda its: Models(its.dispatcher).get,
        gives={JSON: answers.ModelEntry},
        errors=(404,),
    ),
)

ROUTES: tuple[Route, ...] = (CHAT, EMBEDDINGS, *_PLAIN_EMBEDDINGS, *_MODELS)
