"""Prompts without a template: a text, tokens, or a gap to be filled.

A text never becomes a control token, as in chats: whoever means one sends its id. There is one
exception. Editors write a gap as text, in the form of the very model; such a prompt is read as one,
which gives a text nothing but the tokens for gaps.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, assert_never

from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Fill, RawPrompt, Text, Tokens
from worker.chat.fill import Filler, Part, filler_of
from worker.chat.vocabulary import ControlFinder, Vocabulary


class RawTokens(NamedTuple):
    """A prompt, and the tokens ``ends`` that end its answer beside the model's own."""

    tokens: list[int]
    ends: frozenset[int] = frozenset()


class RawLayout:
    """How the prompts of a model with this ``vocabulary`` are laid out. ``filler`` is None where it
    cannot fill gaps."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary
        self.filler: Filler | None = filler_of(
            {text: token.id for text, token in vocabulary.control.items()}
        )
        self._all = ControlFinder(vocabulary.control)
        self._gaps = ControlFinder(self.filler.texts if self.filler else ())

    def lay_out(self, prompt: RawPrompt) -> RawTokens:
        """Raises `InvalidRequest`."""
        match prompt:
            case Text():
                return self._text(prompt.text)
            case Tokens():
                return RawTokens(self.known(prompt.ids))
            case Fill():
                if self.filler is None:
                    raise cannot_fill("this model")
                return self._filled(self.filler, self.filler.parts(prompt))
            case _:
                assert_never(prompt)

    def tokens(self, text: str, *, begins: bool, reads_control: bool) -> list[int]:
        """The tokens of ``text``, behind those that a prompt begins with; with ``reads_control``
        the names of control tokens in it are these."""
        parts = self._cut(text, self._all) if reads_control else [text]
        before = self._vocabulary.begins if begins else ()
        return [*before, *tokens_of(parts, self._vocabulary)]

    def text_of(self, prompt: RawPrompt) -> str:
        """The prompt as an answer repeats it."""
        match prompt:
            case Text():
                return prompt.text
            case Tokens():
                return self._vocabulary.text(prompt.ids)
            case Fill():
                return prompt.prefix
            case _:
                assert_never(prompt)

    def _text(self, text: str) -> RawTokens:
        if self.filler is not None and self.filler.is_template(text):
            return self._filled(self.filler, self._cut(text, self._gaps))
        return RawTokens(self._begun([text] if text else []))

    def _filled(self, filler: Filler, parts: Sequence[Part]) -> RawTokens:
        return RawTokens(self._begun(parts), filler.ends)

    def _begun(self, parts: Sequence[Part]) -> list[int]:
        tokens = [*self._vocabulary.begins, *tokens_of(parts, self._vocabulary)]
        if not tokens:
            raise InvalidRequest("the prompt is empty; write something", param="prompt")
        return tokens

    def known(self, ids: list[int], param: str = "prompt", tokens: int = 0) -> list[int]:
        """``ids``, all of which the model has: as many as its tokenizer, or ``tokens`` where these
        are more. Raises `InvalidRequest`."""
        known = max(len(self._vocabulary), tokens)
        unknown = next((one for one in ids if not 0 <= one < known), None)
        if unknown is not None:
            raise InvalidRequest(
                f"`{param}` has token {unknown}, and the model's tokens are 0 to {known - 1}",
                param=param,
            )
        return ids

    def _cut(self, text: str, finder: ControlFinder) -> list[Part]:
        parts: list[Part] = []
        at = 0
        for start, end in finder.spans(text):
            parts += [text[at:start], self._vocabulary.control[text[start:end]].id]
            at = end
        return [*parts, text[at:]]


def tokens_of(parts: Sequence[Part], vocabulary: Vocabulary) -> list[int]:
    """The tokens of a prompt of these ``parts``."""
    begun = [part for part in parts if part != ""]
    if begun and isinstance(begun[0], str) and not begun[0].startswith(" "):
        begun[0] = vocabulary.opening + begun[0]
    texts = list({part for part in begun if isinstance(part, str)})
    encoded = dict(zip(texts, vocabulary.encode(texts), strict=True))
    tokens: list[int] = []
    for part in begun:
        tokens += [part] if isinstance(part, int) else encoded[part]
    return tokens


def cannot_fill(model: str) -> InvalidRequest:
    return InvalidRequest(
        f"{model} cannot fill gaps: its vocabulary has no tokens for them; send a prompt without a "
        "suffix, or ask a model whose capabilities in /v1/models have `fill`",
        param="suffix",
    )
