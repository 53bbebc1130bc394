"""What the echo engine makes of a chat: words, and what models write beside them.

``<think>WORDS</think>`` is thought, ``<call NAME>ARGUMENTS</call>`` calls a tool that was offered;
all else is content. A chat that must call, and is not told what, calls the first of its tools
without arguments. Every word, every four characters of arguments and every name is a token.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from ipc.messages.events import (
    CallArguments,
    CallOpened,
    Delta,
    Finish,
    Piece,
    Reasoning,
    TokenLogprob,
)
from ipc.messages.jobs import ChatInput

_WORD = re.compile(r"\s*\S+")
_MARKED = re.compile(r"<think>(?P<thought>.*?)</think>|<call (?P<name>\S+?)>(?P<given>.*?)</call>")
_ARGUMENT_CHARS = 4


class Spoken:
    """The answer of one ``choice`` to ``asked``, made of ``text``."""

    def __init__(self, job_id: str, asked: ChatInput, choice: int, text: str) -> None:
        self._job_id, self._asked, self._choice = job_id, asked, choice
        self._calls = 0
        self._names = {tool.name for tool in asked.tools}
        found = [*self._said(text)]
        if asked.must_call:
            found = [piece for piece in found if not isinstance(piece, Delta)]
            if not self._calls:
                found += self._call(asked.tools[0].name, "{}")
        cap = asked.sampling.max_tokens
        self.pieces: list[Piece] = found[:cap]
        self.finish: Finish = "tool_calls" if self._calls else "stop"
        if len(found) > cap:
            self.finish = "length"

    def _said(self, text: str) -> Iterator[Piece]:
        at = 0
        for marked in _MARKED.finditer(text):
            if marked["thought"] is not None:
                told = self._asked.split_reasoning
            else:
                told = marked["name"] in self._names and (
                    self._asked.parallel_calls or not self._calls
                )
            if not told:
                continue
            yield from self._content(text[at : marked.start()])
            at = marked.end()
            if marked["thought"] is not None:
                for word in _WORD.findall(marked["thought"]):
                    yield Reasoning(job=self._job_id, text=word, choice=self._choice)
            else:
                yield from self._call(marked["name"], marked["given"])
        yield from self._content(text[at:])

    def _content(self, text: str) -> Iterator[Piece]:
        for word in _WORD.findall(text):
            yield Delta(self._job_id, word, choice=self._choice, logprobs=self._likely(word))

    def _call(self, name: str, arguments: str) -> Iterator[Piece]:
        job, index, choice = self._job_id, self._calls, self._choice
        self._calls += 1
        yield CallOpened(job, index, f"call_{choice}_{index}", name, choice=choice)
        for at in range(0, len(arguments), _ARGUMENT_CHARS):
            text = arguments[at : at + _ARGUMENT_CHARS]
            yield CallArguments(job, index, text, choice=choice)

    def _likely(self, word: str) -> list[TokenLogprob] | None:
        """As likely as it is short; the likeliest in its place are itself and shorter ones."""
        wanted, data = self._asked.sampling.logprobs, word.encode()
        if wanted is None:
            return None
        top = [
            TokenLogprob(len(data) - at, data[: len(data) - at], -float(len(data)) - at)
            for at in range(min(wanted, len(data)))
        ]
        return [TokenLogprob(len(data), data, -float(len(data)), top)]
