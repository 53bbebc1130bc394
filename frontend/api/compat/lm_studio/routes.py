"""The routes of LM Studio's own API, which stand beside those of Ollama's below /api."""

from __future__ import annotations

from dataclasses import replace

from frontend.api.compat.lm_studio import answers
from frontend.api.compat.lm_studio.asked import LmStudioDownload, LmStudioLoad, LmStudioUnload
from frontend.api.compat.lm_studio.downloads import Downloads
from frontend.api.compat.lm_studio.models import LmStudioModels
from frontend.api.completions.routes import COMPLETIONS
from frontend.api.openai.routes import CHAT, EMBEDDINGS
from frontend.api.route import JSON, Route

# Of what version 0 has for requests, its keys are those of OpenAI's API.
_OLDER = (
    Route(
        method="GET",
        path="/api/v0/models",
        id="lm_studio_older_models",
        summary="The models for chats and vectors, as LM Studio's older API tells them",
        answer=lambda its: LmStudioModels(its).older_index,
        gives={JSON: answers.LmStudioOlderModels},
        polled=True,
    ),
    Route(
        method="GET",
        path="/api/v0/models/{model}",
        id="lm_studio_older_model",
        summary="One of them",
        answer=lambda its: LmStudioModels(its).older_get,
        gives={JSON: answers.LmStudioOlderModel},
        errors=(404,),
    ),
    replace(
        CHAT,
        path="/api/v0/chat/completions",
        id="lm_studio_chat",
        summary="Answer a conversation, as /v1/chat/completions does",
    ),
    replace(
        COMPLETIONS,
        path="/api/v0/completions",
        id="lm_studio_completions",
        summary="Write on from a text, as /v1/completions does",
    ),
    replace(
        EMBEDDINGS,
        path="/api/v0/embeddings",
        id="lm_studio_embeddings",
        summary="A vector for each text, as /v1/embeddings gives it",
    ),
)
_MODELS = (
    Route(
        method="GET",
        path="/api/v1/models",
        id="lm_studio_models",
        summary="The models for chats and vectors, as LM Studio tells them",
        answer=lambda its: LmStudioModels(its).index,
        gives={JSON: answers.LmStudioModels},
        polled=True,
    ),
    Route(
        method="POST",
        path="/api/v1/models/load",
        id="lm_studio_load",
        summary="Have a model loaded, as LM Studio does; it is ready then",
        answer=lambda its: LmStudioModels(its).load,
        takes=(LmStudioLoad,),
        gives={JSON: answers.LmStudioLoaded},
        errors=(404, 409, 503),
        admin=True,
        act="model.load",
    ),
    Route(
        method="POST",
        path="/api/v1/models/unload",
        id="lm_studio_unload",
        summary="Have a model leave once it has finished what it works on",
        answer=lambda its: LmStudioModels(its).unload,
        takes=(LmStudioUnload,),
        gives={JSON: answers.LmStudioUnloaded},
        errors=(404, 503),
        admin=True,
        act="model.unload",
    ),
)
_DOWNLOADS = (
    Route(
        method="POST",
        path="/api/v1/models/download",
        id="lm_studio_download",
        summary="Fetch a model by a job of the server, and serve it then",
        answer=lambda its: Downloads(its).start,
        takes=(LmStudioDownload,),
        gives={JSON: answers.LmStudioJob},
        errors=(429, 503),
        admin=True,
        act="pull.start",
    ),
    Route(
        method="GET",
        path="/api/v1/models/download/status",
        id="lm_studio_downloads",
        summary="These jobs, and the last that have ended",
        answer=lambda its: Downloads(its).index,
        gives={JSON: answers.LmStudioJobs},
        errors=(503,),
        admin=True,
        polled=True,
    ),
    Route(
        method="GET",
        path="/api/v1/models/download/status/{pull_id}",
        id="lm_studio_download_status",
        summary="One of them",
        answer=lambda its: Downloads(its).get,
        gives={JSON: answers.LmStudioJob},
        errors=(404, 503),
        admin=True,
        polled=True,
    ),
)
ROUTES = (*_OLDER, *_MODELS, *_DOWNLOADS)
