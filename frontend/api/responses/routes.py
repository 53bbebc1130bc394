"""The routes of OpenAI's Responses."""

from __future__ import annotations

from frontend.api.responses.answers import CountedInput, ItemList, ResponseDeleted, ResponseObject
from frontend.api.responses.queries import ItemsQuery, ResponseQuery
from frontend.api.responses.request import ResponseRequest
from frontend.api.responses.route import KeptResponses, Responses
from frontend.api.route import EVENTS, JSON, Route

ROUTES: tuple[Route, ...] = (
    Route(
        method="POST",
        path="/v1/responses",
        id="responses",
        summary="Respond to items, whole or as a stream of events",
        answer=lambda its: Responses(its).create,
        task="chat",
        takes=(ResponseRequest,),
        gives={JSON: ResponseObject, EVENTS: None},
    ),
    Route(
        method="POST",
        path="/v1/responses/input_tokens",
        id="response_input_tokens",
        summary="How many tokens the prompt of a response has",
        answer=lambda its: Responses(its).count,
        task="chat",
        takes=(ResponseRequest,),
        gives={JSON: CountedInput},
    ),
    Route(
        method="GET",
        path="/v1/responses/{response_id}/input_items",
        id="response_items",
        summary="The items that a response was made of",
        answer=lambda its: KeptResponses(its).input_items,
        asks=ItemsQuery,
        gives={JSON: ItemList},
        errors=(404,),
    ),
    Route(
        method="GET",
        path="/v1/responses/{response_id}",
        id="response",
        summary="A response that is kept",
        answer=lambda its: KeptResponses(its).get,
        asks=ResponseQuery,
        gives={JSON: ResponseObject},
        errors=(404,),
    ),
    Route(
        method="DELETE",
        path="/v1/responses/{response_id}",
        id="response_delete",
        summary="Keep it no longer",
        answer=lambda its: KeptResponses(its).delete,
        gives={JSON: ResponseDeleted},
        errors=(404,),
    ),
)
