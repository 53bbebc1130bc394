"""The routes that write on from a text, or fill a gap in one."""

from __future__ import annotations

from frontend.api.compat.infill import Infilled, InfillRequest
from frontend.api.compat.mistral_fim import PATHS as FIM_PATHS
from frontend.api.compat.mistral_fim import FimRequest
from frontend.api.completions.answers import Completion
from frontend.api.completions.request import CompletionRequest
from frontend.api.completions.route import Completions
from frontend.api.openai import answers
from frontend.api.route import EVENTS, JSON, Route

COMPLETIONS = Route(
    method="POST",
    path="/v1/completions",
    id="completions",
    summary="Write on from a text or tokens, or fill a gap; whole or as a stream",
    answer=lambda its: Completions(its.dispatcher, its.serve, its.metrics).complete,
    task="chat",
    takes=(CompletionRequest,),
    gives={JSON: Completion, EVENTS: None},
)
ROUTES: tuple[Route, ...] = (
    COMPLETIONS,
    *(
        Route(
            method="POST",
            path=path,
            id=path.strip("/").replace("/", "_"),
            summary="Fill a gap, as Mistral's API does",
            answer=lambda its: Completions(its.dispatcher, its.serve, its.metrics).fill,
            task="chat",
            takes=(FimRequest,),
            gives={JSON: answers.ChatCompletion, EVENTS: None},
        )
        for path in FIM_PATHS
    ),
    Route(
        method="POST",
        path="/infill",
        id="infill",
        summary="Fill a gap, as llama.cpp's server does",
        answer=lambda its: Completions(its.dispatcher, its.serve, its.metrics).infill,
        task="chat",
        takes=(InfillRequest,),
        gives={JSON: Infilled, EVENTS: None},
    ),
)
