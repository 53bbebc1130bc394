"""An answer that goes on behind tokens that are there already, as another request.

Its prompt is the first one's with these tokens behind it, of which a library that keeps what it
has computed reads only what is new.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ipc.grammar.not_empty import without_the_empty_text
from ipc.grammar.rest import NoRestError, rest
from ipc.grammar.rules import Rules
from ipc.messages.errors import WorkerCrashed
from worker.chat.grammar import AnyText
from worker.chat.token_engine import TokenModel, TokenRequest


def rest_of(request: TokenRequest, written: Sequence[int]) -> TokenRequest:
    """The request for what follows ``written``, the tokens that the answer to ``request`` has. Its
    limit may be 0: then nothing follows."""
    prompt = request.prompt._replace(tokens=[*request.prompt.tokens, *written])
    least = max(0, request.sampling.min_tokens - len(written))
    return request._replace(
        prompt=prompt,
        sampling=msgspec.structs.replace(request.sampling, min_tokens=least),
        limit=max(0, request.limit - len(written)),
        written=[*request.written, *written],
    )


def behind(request: TokenRequest, written: Sequence[int], model: TokenModel) -> TokenRequest | None:
    """`rest_of` a request whose grammar admits what makes an answer behind ``written``. None where
    the answer is whole by that: nothing may follow. Raises `WorkerCrashed` where nobody can go on.
    """
    asked = rest_of(request, written)
    if isinstance(request.grammar, AnyText):
        return asked
    grammar = _rest_of_grammar(request.grammar, _text(request, written, model))
    return None if without_the_empty_text(grammar) is None else asked._replace(grammar=grammar)


def _rest_of_grammar(grammar: Rules, text: str) -> Rules:
    try:
        return rest(grammar, text)
    except NoRestError as error:
        raise _broken(str(error)) from error


def _text(request: TokenRequest, written: Sequence[int], model: TokenModel) -> str:
    """What ``written`` is to a grammar: control tokens that it means are there by their texts."""
    vocabulary = model.prompts.vocabulary
    meant = vocabulary.control if model.spells_control else request.preserved
    spelled = {vocabulary.control[text].id: text.encode() for text in meant}
    data = b"".join(spelled.get(token) or vocabulary.text_bytes(token) for token in written)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise _broken("a character is written in part") from error


def _broken(why: str) -> WorkerCrashed:
    return WorkerCrashed(
        f"the model's worker stopped in the middle of its answer, and the form that the answer "
        f"must have cannot be entered there: {why}; send the request again",
        retry_after_s=1.0,
    )
