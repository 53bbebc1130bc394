"""The reading of one answer: what is content, what is reasoning, and what is a call."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

from worker.chat.parser import Content, Said
from worker.chat.parsing.says import Over, Says, Schemas
from worker.chat.parsing.source import Malformed, Source, Steps, Truncated
from worker.chat.text import overlap

logger = logging.getLogger(__name__)


class Thinking(NamedTuple):
    """What stands before and after the reasoning of a model, and ``forced``, what ends it where the
    model has not."""

    opens: str
    closes: str
    forced: str


# Reads calls after a marker, or from the beginning of an answer, where the marker is empty. It
# tells them to `Says`. Raises `Malformed` and `Truncated`.
ReadCalls = Callable[[Source, Says, str], Steps[None]]


class Syntax(NamedTuple):
    """What there may be in an answer beside content.

    ``read_calls`` reads what follows one of the ``markers``, and an answer that begins with one of
    ``opens_answer``, which may turn out to be content. Without ``thinking`` there is no reasoning
    to be found; what ``begins_thinking`` has no opening marker, since that stands in the prompt;
    where it is not to be ``split`` off it is content, as it is written. ``hidden`` texts are never
    content, ``preserved`` are those of control tokens that must be in what is read. Of an answer
    that ``ends_with_calls`` nothing counts that stands after them.
    """

    read_calls: ReadCalls | None = None
    markers: tuple[str, ...] = ()
    opens_answer: tuple[str, ...] = ()
    must_call: bool = False
    ends_with_calls: bool = False
    thinking: Thinking | None = None
    begins_thinking: bool = False
    split: bool = True
    hidden: tuple[str, ...] = ()
    preserved: frozenset[str] = frozenset()


class Reading:
    """A `Parser`: the reading of an answer of this ``syntax``, which may call ``tools``."""

    def __init__(self, syntax: Syntax, tools: Schemas, *, parallel: bool) -> None:
        self.preserved = syntax.preserved
        self.thinking = syntax.begins_thinking
        self.over = False
        self._syntax = syntax
        self._tools = tools
        self._source = Source()
        self._says = Says(self._source, tools, parallel=parallel)
        self._cut = False
        self._steps = self._read()

    def push(self, text: str) -> Sequence[Said]:
        if self.over:
            return ()
        self._source.push(text)
        next(self._steps, None)
        return self._says.told()

    def finish(self, *, cut: bool = False) -> Sequence[Said]:
        if self.over:
            return ()
        self._source.ended, self._cut = True, cut
        for _ in self._steps:
            pass
        return self._says.told()

    @property
    def has_called(self) -> bool:
        """Whether there were calls, all of them complete."""
        return self._says.calls > 0 and not self._says.in_call

    def _read(self) -> Steps[None]:
        try:
            if self._syntax.begins_thinking:
                self._says.markup()
                yield from self._think()
            yield from self._beginning()
            yield from self._rest()
            self._says.end()
        except Over:
            pass
        self.over = True

    # --- content and calls ---

    def _beginning(self) -> Steps[None]:
        """What only stands at the beginning: reasoning, and calls without a marker."""
        try:
            yield from self._opening()
        except Truncated:
            self._leave_begun()

    def _leave_begun(self) -> None:
        """The answer ends in what would have been a marker. Where it was cut off that is all that
        is said of it; a single character may be anything."""
        source = self._source
        if self._cut and len(source.text) > source.at + 1:
            source.at = len(source.text)

    def _opening(self) -> Steps[None]:
        source, syntax = self._source, self._syntax
        yield from self._space()
        thinking = syntax.thinking
        if (
            thinking is not None
            and not syntax.begins_thinking
            and (yield from source.takes(thinking.opens)) is not None
        ):
            self._tell_marker(thinking.opens)
            yield from self._think()
            yield from self._space()
        if (yield from source.ahead(*syntax.opens_answer)) is not None:
            yield from self._calls("")

    def _space(self) -> Steps[None]:
        """Take whitespace, up to what follows or to the end."""
        source = self._source
        while True:
            rest = source.text[source.at :]
            text = rest.lstrip()
            self._says.content(rest[: len(rest) - len(text)])
            source.at += len(rest) - len(text)
            if text or source.ended:
                return
            yield

    def _rest(self) -> Steps[None]:
        source, syntax = self._source, self._syntax
        markers = (*syntax.markers, *syntax.hidden)
        while True:
            end, found = source.find(markers)
            begun = self._begun(syntax.markers) if found is None else 0
            self._says.content(source.text[source.at : end - begun])
            source.at = end
            if found is None:
                if source.ended:
                    return
                yield
            elif found in syntax.hidden or not (yield from self._calls(found)):
                source.at += len(found)
                if found not in syntax.preserved:
                    self._says.content(found)

    def _begun(self, markers: Sequence[str]) -> int:
        """How much of a marker stands at the end of an answer that was cut off. A single character
        may be anything, and so may letters."""
        source = self._source
        if not (source.ended and self._cut):
            return 0
        begun = overlap(source.text[source.at :], markers)
        is_sure = begun > 1 and not source.text[-begun].isalnum()
        return begun if is_sure or self._syntax.must_call else 0

    def _calls(self, marker: str) -> Steps[bool]:
        """Calls after ``marker``. False: there is none, and nothing has been taken."""
        source, says, syntax = self._source, self._says, self._syntax
        assert syntax.read_calls is not None
        source.hold()
        source.at += len(marker)
        before = says.calls
        try:
            yield from syntax.read_calls(source, says, marker)
        except Malformed:
            if marker or says.calls > before:
                logger.warning("malformed_call", extra={"marker": marker})
            if not says.in_call:
                source.back()
        except Truncated:
            omitted = self._cut and (marker or says.calls > before or syntax.must_call)
            if says.in_call or omitted:
                raise Over from None
            source.back()
        says.in_call = False
        source.release()
        if says.calls == before:
            return False
        if syntax.ends_with_calls:
            raise Over
        says.markup()
        return True

    # --- reasoning ---

    def _think(self) -> Steps[None]:
        """Reasoning up to its end, which may be that of the answer."""
        source, thinking = self._source, self._syntax.thinking
        assert thinking is not None
        self.thinking = True
        markers = (thinking.closes, *self._syntax.markers)
        tell = self._says.thought if self._syntax.split else self._says.as_written
        while True:
            end, found = source.find(markers)
            begun = self._begun([thinking.closes]) if found is None else 0
            tell(source.text[source.at : end - begun])
            source.at = end
            if found is None:
                if source.ended:
                    return
                yield
            elif found == thinking.closes:
                source.at += len(found)
                self.thinking = False
                self._tell_marker(found)
                return
            elif not (yield from self._ends_with_calls()):
                source.at += len(found)
                tell(found)

    def _tell_marker(self, marker: str) -> None:
        if self._syntax.split:
            self._says.markup()
        else:
            self._says.as_written(marker)

    def _ends_with_calls(self) -> Steps[bool]:
        """Whether all that follows are whole calls, and the model has forgotten to close its
        reasoning. They are told then. Else the marker here is prose."""
        source, closes = self._source, self._syntax.thinking
        assert closes is not None
        syntax = self._syntax._replace(
            thinking=None, begins_thinking=False, opens_answer=(), ends_with_calls=False
        )
        trial = Reading(syntax, self._tools, parallel=True)
        said: list[Said] = []
        read = 0
        source.hold()
        while True:
            text = source.since()
            if closes.closes in text:
                break
            said += trial.push(text[read:])
            read = len(text)
            if source.ended:
                said += trial.finish()
            if any(isinstance(one, Content) for one in said):
                break
            if source.ended and not trial.has_called:
                break
            if source.ended:
                self._says.adopt(said)
                raise Over
            yield
        source.back()
        source.release()
        return False
