"""A request's job on its way: handed over, and waited for where its answer is one whole."""

from __future__ import annotations

from starlette.requests import Request

from frontend.dispatch.dispatcher import Dispatcher
from frontend.dispatch.estimates.shape import shape_of, tokens_of
from frontend.dispatch.stream import Stream
from frontend.http.collect import collect
from frontend.http.request_context import RequestContext
from ipc.messages.events import Result
from ipc.messages.jobs import Input
from ipc.messages.spec import Spec


def submit(
    dispatcher: Dispatcher, context: RequestContext, spec: Spec, asked: Input, size_bytes: int
) -> Stream:
    """Queue the job of a request, which is told to its ``context``: the log and the metrics look
    there. Raises a `ServeError` where the model cannot take it, or its key may have no more."""
    context.shape = shape_of(asked)
    if context.allowance is not None:
        context.allowance.reserve(*tokens_of(asked))
    context.stream = dispatcher.submit(
        context.request_id,
        spec,
        asked,
        size_bytes,
        context.claim,
        context.terms,
    )
    return context.stream


async def result_of(
    dispatcher: Dispatcher, request: Request, spec: Spec, asked: Input, size_bytes: int
) -> Result:
    """The result of a job that says all in it. Raises the job's `ServeError`, or `Cancelled`."""
    context = RequestContext.of(request.scope)
    done = await collect(submit(dispatcher, context, spec, asked, size_bytes), request.receive)
    context.usage = done.result.usage
    return done.result
