"""The routes of Anthropic's API."""

from __future__ import annotations

from frontend.api.anthropic.answers import CountedTokens, WrittenMessage
from frontend.api.anthropic.errors import MessageError, message_error
from frontend.api.anthropic.request import MessagesRequest, PromptRequest
from frontend.api.anthropic.route import Messages
from frontend.api.route import EVENTS, JSON, Route
from frontend.quotas import headers as quota_headers

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/messages",
        id="messages",
        summary="Answer a conversation, as Anthropic's API does; whole or as a stream",
        answer=lambda its: Messages(its).create,
        task="chat",
        takes=(MessagesRequest,),
        gives={JSON: WrittenMessage, EVENTS: None},
        id_header="request-id",
        quota_form=quota_headers.anthropic,
        error_form=message_error,
        error_model=MessageError,
    ),
    Route(
        method="POST",
        path="/v1/messages/count_tokens",
        id="count_tokens",
        summary="How many tokens the prompt of a conversation has",
        answer=lambda its: Messages(its).count,
        task="chat",
        takes=(PromptRequest,),
        gives={JSON: CountedTokens},
        id_header="request-id",
        quota_form=quota_headers.anthropic,
        error_form=message_error,
        error_model=MessageError,
    ),
)
