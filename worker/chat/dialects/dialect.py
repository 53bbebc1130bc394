"""What a dialect is: the way in which a family of models writes calls and reasoning."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from ipc.grammar.rules import Expression
from ipc.messages.jobs import ChatInput, Tool
from worker.chat.parser import Parser
from worker.chat.parsing.reading import ReadCalls, Reading, Thinking
from worker.chat.rule_book import RuleBook, Signature

# A message as chat templates take it.
Turn = dict[str, Any]


class ForTemplate(NamedTuple):
    """What a template is given: turns, tools and keywords."""

    turns: list[Turn]
    tools: list[Turn] | None = None
    arguments: Mapping[str, Any] = {}


# The grammar of calls of one of some tools: one call, or several.
CallRules = Callable[[RuleBook, Sequence[Signature], bool], Expression]


class Unmarked(NamedTuple):
    """Calls without their markers, as models write them that forget those: all of an answer, which
    begins with one of ``opens``. ``rules`` are their grammar; one of the tool NAME begins with one
    of ``begins(NAME)``, in which a space stands for any whitespace or none."""

    opens: tuple[str, ...]
    rules: CallRules
    begins: Callable[[str], tuple[str, ...]]


class CallFormat(NamedTuple):
    """How a family writes calls: three views of one form.

    ``read`` reads them out of an answer, after one of the ``markers`` or, where the answer begins
    with one of ``opens_answer``, from there, or as those ``unmarked``, if its model forgets the
    markers; ``rules`` are the grammar that forces them, before which no text has one of the
    ``triggers``, the markers if they are left out; ``write`` makes the text of some, each with a
    ``name`` and ``arguments``, for a template that leaves them out of a history.
    Content begins after ``content_opens``. ``texts`` are what else may be a control token in it.
    ``in_probe`` is a pattern of what a template writes of a call of the tool ``zqcallqz``, or of
    its definition.
    """

    name: str
    read: ReadCalls
    rules: CallRules
    write: Callable[[Sequence[Turn]], str]
    in_probe: str = "(?!)"
    markers: tuple[str, ...] = ()
    opens_answer: tuple[str, ...] = ()
    unmarked: Unmarked | None = None
    texts: tuple[str, ...] = ()
    triggers: tuple[str, ...] = ()
    content_opens: str = ""
    ends_with_calls: bool = False
    short_ids: bool = False  # its templates take ids of 9 letters and digits only
    reading: type[Reading] = Reading


class Dialect(Protocol):
    """Into the prompt by `history`, out of the answer by `parser`."""

    @property
    def name(self) -> str:
        """As the catalog names it."""
        ...

    @property
    def calls_tools(self) -> bool:
        """Whether the model has learned to call in it."""
        ...

    @property
    def calls(self) -> CallFormat:
        """How calls are written."""
        ...

    @property
    def thinking(self) -> Thinking | None:
        """How reasoning is written, if the model reasons."""
        ...

    def reads_calls(self, asked: ChatInput) -> bool:
        """Whether calls are looked for in the answer to ``asked``."""
        ...

    def history(
        self, turns: Sequence[Turn], tools: Sequence[Turn] = (), *, must_call: bool = False
    ) -> ForTemplate:
        """``turns`` as the model's template can write all of them, calls and results too, and what
        it is told of the ``tools``, which are as OpenAI's API has them."""
        ...

    def parser(self, asked: ChatInput, tail: str, control: Collection[str] = ()) -> Parser:
        """What reads one answer to ``asked``; the prompt ends with ``tail``. ``control`` are the
        texts of the model's control tokens."""
        ...


def described(tool: Tool, parameters: Any) -> Turn:
    """A tool as templates take it, which is as OpenAI's API has it."""
    function: Turn = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if parameters is not None:
        function["parameters"] = parameters
    return {"type": "function", "function": function}
