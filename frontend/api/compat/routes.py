"""The routes that tell of tokens, prompts and what a model takes, as other servers have them."""

from __future__ import annotations

from frontend.api.compat import tokens_answer
from frontend.api.compat.props import Props, RouterProps, ServerProps
from frontend.api.compat.tokenize import (
    ChatTokenize,
    ContentTokenize,
    Detokenize,
    InputsTokenize,
    PromptTokenize,
)
from frontend.api.compat.tokens import Tokens
from frontend.api.route import JSON, Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/tokenize",
        id="tokenize",
        summary="The tokens of a text or a chat, as llama.cpp's server, vLLM or TEI tell them",
        answer=lambda its: Tokens(its.dispatcher, its.serve).tokenize,
        task="chat",
        takes=(ContentTokenize, PromptTokenize, ChatTokenize, InputsTokenize),
        gives={JSON: (tokens_answer.Tokens, [[tokens_answer.SpannedToken]])},
    ),
    Route(
        method="POST",
        path="/detokenize",
        id="detokenize",
        summary="The text of tokens",
        answer=lambda its: Tokens(its.dispatcher, its.serve).detokenize,
        task="chat",
        takes=(Detokenize,),
        gives={JSON: tokens_answer.Detokenized},
    ),
    Route(
        method="POST",
        path="/apply-template",
        id="apply_template",
        summary="The prompt that a chat comes to",
        answer=lambda its: Tokens(its.dispatcher, its.serve).apply_template,
        task="chat",
        takes=(ChatTokenize,),
        gives={JSON: tokens_answer.AppliedTemplate},
    ),
    Route(
        method="GET",
        path="/props",
        id="props",
        summary="What a chat model takes, as llama.cpp's server tells it",
        answer=lambda its: Props(its.dispatcher).show,
        gives={JSON: (ServerProps, RouterProps)},
        errors=(400, 404),
    ),
)
