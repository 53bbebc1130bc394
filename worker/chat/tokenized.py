"""What a model's tokenizer is asked beside its chats. No answer takes a slot."""

from __future__ import annotations

from collections.abc import Sequence

from ipc.messages.events import Token, TokenizeResult
from ipc.messages.jobs import TokenizeInput
from worker.chat.prompt import Offered, Prompts
from worker.chat.vocabulary import Vocabulary


def tokenized(asked: TokenizeInput, prompts: Prompts) -> TokenizeResult:
    """The answer to ``asked``. Raises `InvalidRequest`."""
    vocabulary = prompts.vocabulary
    if asked.ids is not None:
        ids = prompts.raw.known(asked.ids, "tokens")
        text = vocabulary.spelled(ids)
        if vocabulary.drops_first_space:
            text = text.removeprefix(" ")
        return TokenizeResult(rows=[_row(ids, vocabulary)], text=text)
    if asked.chat is not None:
        prompt = prompts.lay_out(asked.chat.messages, Offered.by(asked.chat))
        row = _row(prompt.tokens, vocabulary)
        return TokenizeResult(rows=[row], text=vocabulary.spelled(prompt.tokens))
    rows = (
        prompts.raw.tokens(text, begins=asked.begins, reads_control=asked.reads_control)
        for text in asked.texts
    )
    return TokenizeResult(rows=[_row(row, vocabulary) for row in rows])


def _row(ids: Sequence[int], vocabulary: Vocabulary) -> list[Token]:
    return [_token(one, vocabulary) for one in ids]


def _token(one: int, vocabulary: Vocabulary) -> Token:
    name = vocabulary.name(one)
    if name is None:
        return Token(one, vocabulary.text_bytes(one))
    return Token(one, name.encode(), control=True)
