"""gpt-oss: an answer is messages, each on a channel and perhaps to a tool ("harmony").

A message is a header, ``<|message|>``, its text, and a marker that ends it. The prompt has begun
the first header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from ipc.grammar.expressions import either
from ipc.grammar.rules import Expression
from worker.chat.dialects.dialect import CallFormat, Turn
from worker.chat.dialects.json_calls import arguments
from worker.chat.parsing.reading import Reading, Thinking
from worker.chat.parsing.says import Over, Says
from worker.chat.parsing.source import Malformed, Source, Steps, Truncated
from worker.chat.rule_book import RuleBook, Signature, sequence

_START, _CHANNEL, _MESSAGE = "<|start|>", "<|channel|>", "<|message|>"
_CONSTRAIN = "<|constrain|>"
_ENDS = ("<|end|>", "<|call|>", "<|return|>", _START)
_RECIPIENT = re.compile(r"to=functions\.([\w.-]+)")
_ANALYSIS, _TO = "analysis", "to=functions."


class HarmonyReading(Reading):
    """A `Parser` of messages. What has no header is content."""

    def _read(self) -> Steps[None]:
        try:
            if self._syntax.begins_thinking:
                yield from self._text(is_thought=True)
            while True:
                yield from self._space()
                begun = yield from self._begun_header()
                if begun is None:
                    yield from self._text(is_thought=False)
                else:
                    yield from self._message(begun)
        except (Over, Truncated):
            pass
        self._says.end()
        self.over = True

    def _begun_header(self) -> Steps[str | None]:
        try:
            return (yield from self._source.takes(_START, _CHANNEL, _TO))
        except Truncated:
            self._leave_begun()
            return None

    def _message(self, begun: str) -> Steps[None]:
        """One message after the first word of its header."""
        rest, _ = yield from self._source.upto(_MESSAGE)
        header = begun + rest
        recipient = _RECIPIENT.search(header)
        if recipient is not None and self._syntax.read_calls is not None:
            self._says.markup()
            yield from self._call(recipient.group(1))
        else:
            self._tell_marker(header + _MESSAGE)
            yield from self._text(is_thought=f"{_CHANNEL}{_ANALYSIS}" in header)

    def _call(self, name: str) -> Steps[None]:
        says, source = self._says, self._source
        try:
            says.opened(name)
        except Malformed:
            yield from self._text(is_thought=False)
            return
        yield from source.spaces()
        yield from arguments(source, says)
        says.closed()
        source.release()
        yield from source.closing(*_ENDS[:3])

    def _text(self, *, is_thought: bool) -> Steps[None]:
        """The text of a message, up to what ends it or begins the next header."""
        source, split = self._source, self._syntax.split
        tell = self._says.content if split else self._says.as_written
        tell = self._says.thought if is_thought and split else tell
        self.thinking = is_thought
        while True:
            end, found = source.find(_ENDS)
            tell(source.text[source.at : end])
            source.at = end
            if found is not None:
                source.at += len(found) if found != _START else 0
                self.thinking = False
                self._tell_marker(found if found != _START else "")
                return
            yield from source.more()


def _read(source: Source, says: Says, marker: str) -> Steps[None]:  # noqa: ARG001
    """`HarmonyReading` reads calls itself, as messages."""
    raise Malformed
    yield


def _rules(book: RuleBook, tools: Sequence[Signature], several: bool) -> Expression:  # noqa: ARG001
    """One call: its end is that of the answer."""
    return either(
        [
            sequence(
                f"{_CHANNEL}commentary to=functions.{one.name} {_CONSTRAIN}json{_MESSAGE}",
                book.arguments(one),
            )
            for one in tools
        ]
    )


def _write(functions: Sequence[Turn]) -> str:
    return "".join(
        f"{_CHANNEL}commentary to=functions.{one['name']} {_CONSTRAIN}json{_MESSAGE}"
        f"{json.dumps(one['arguments'], ensure_ascii=False)}<|call|>"
        for one in functions
    )


HARMONY_ANALYSIS = Thinking(
    f"{_CHANNEL}{_ANALYSIS}{_MESSAGE}",
    "<|end|>",
    f"<|end|>{_START}assistant",
)
GPT_OSS = CallFormat(
    "gpt_oss",
    _read,
    _rules,
    _write,
    in_probe=r"to=functions\.zqcallqz|<\|channel\|>",
    texts=(_START, _CHANNEL, _MESSAGE, _CONSTRAIN, *_ENDS),
    triggers=(_TO,),
    content_opens=f"{_CHANNEL}final{_MESSAGE}",
    reading=HarmonyReading,
)
