"""The routes of Ollama's API, which a server has only where it is asked for."""

from __future__ import annotations

from typing import TypedDict

from pydantic import BaseModel

from frontend.api.ollama import answers
from frontend.api.ollama.chat import OllamaChats
from frontend.api.ollama.chat_request import OllamaChatRequest
from frontend.api.ollama.embed import OllamaEmbeddings
from frontend.api.ollama.embed_request import OllamaEmbeddingsRequest, OllamaEmbedRequest
from frontend.api.ollama.errors import OllamaError, error_form
from frontend.api.ollama.generate_request import OllamaGenerateRequest
from frontend.api.ollama.models import OllamaModels
from frontend.api.ollama.models_request import OllamaModelRequest, OllamaPullRequest
from frontend.api.ollama.pulls import OllamaPulls
from frontend.api.route import JSON, TEXT, Route
from frontend.http.ndjson import MEDIA_TYPE
from frontend.http.request_context import ErrorForm

# Paths of Ollama's that are not built are below it, too.
BELOW = "/api/"
# What Ollama's clients look for at /, and its own command line.
RUNNING = "Ollama is running"


class _Errors(TypedDict):
    error_form: ErrorForm
    error_model: type[BaseModel]


_ERRORS: _Errors = {"error_form": error_form, "error_model": OllamaError}
ROUTES = (
    Route(
        method="POST",
        path="/api/chat",
        id="ollama_chat",
        summary="Answer a conversation, as Ollama does",
        answer=lambda its: OllamaChats(its).chat,
        task="chat",
        takes=(OllamaChatRequest,),
        gives={JSON: answers.OllamaChatAnswer, MEDIA_TYPE: answers.OllamaChatAnswer},
        **_ERRORS,
    ),
    Route(
        method="POST",
        path="/api/generate",
        id="ollama_generate",
        summary="Answer a prompt, write on from it or fill a gap, as Ollama does",
        answer=lambda its: OllamaChats(its).generate,
        task="chat",
        takes=(OllamaGenerateRequest,),
        gives={JSON: answers.OllamaGenerateAnswer, MEDIA_TYPE: answers.OllamaGenerateAnswer},
        **_ERRORS,
    ),
    Route(
        method="POST",
        path="/api/embed",
        id="ollama_embed",
        summary="A vector of length 1 for each text, as Ollama gives it",
        answer=lambda its: OllamaEmbeddings(its).embed,
        task="embed",
        takes=(OllamaEmbedRequest,),
        gives={JSON: answers.OllamaEmbedAnswer},
        **_ERRORS,
    ),
    Route(
        method="POST",
        path="/api/embeddings",
        id="ollama_embeddings",
        summary="The vector of one text, as Ollama gave it before /api/embed",
        answer=lambda its: OllamaEmbeddings(its).embeddings,
        task="embed",
        takes=(OllamaEmbeddingsRequest,),
        gives={JSON: answers.OllamaEmbeddingAnswer},
        **_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/tags",
        id="ollama_tags",
        summary="The models that Ollama's API has something for",
        answer=lambda its: OllamaModels(its).tags,
        gives={JSON: answers.OllamaList},
        polled=True,
        **_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/ps",
        id="ollama_ps",
        summary="Those that are loaded",
        answer=lambda its: OllamaModels(its).ps,
        gives={JSON: answers.OllamaProcesses},
        polled=True,
        **_ERRORS,
    ),
    Route(
        method="POST",
        path="/api/show",
        id="ollama_show",
        summary="What is known of a model",
        answer=lambda its: OllamaModels(its).show,
        takes=(OllamaModelRequest,),
        gives={JSON: answers.OllamaShown},
        errors=(404,),
        **_ERRORS,
    ),
    Route(
        method="POST",
        path="/api/pull",
        id="ollama_pull",
        summary="Have a model fetched, which is for operators, unless it is here",
        answer=lambda its: OllamaPulls(its).pull,
        takes=(OllamaPullRequest,),
        gives={JSON: answers.OllamaStatus, MEDIA_TYPE: answers.OllamaProgress},
        errors=(403, 429, 503),
        **_ERRORS,
    ),
    Route(
        method="DELETE",
        path="/api/delete",
        id="ollama_delete",
        summary="Remove the files of a model, and serve it no more",
        answer=lambda its: OllamaPulls(its).delete,
        takes=(OllamaModelRequest,),
        gives={TEXT: None},
        errors=(404, 409, 429, 503),
        admin=True,
        act="model.remove",
        **_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/version",
        id="ollama_version",
        summary="The release of Ollama whose API this is",
        answer=lambda its: OllamaModels(its).version,
        gives={JSON: answers.OllamaVersion},
        polled=True,
        **_ERRORS,
    ),
)
