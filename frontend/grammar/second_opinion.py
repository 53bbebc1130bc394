"""What llguidance says of a grammar, by its own compiler and for any model's bytes."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from ipc.grammar.lark import to_lark
from ipc.grammar.rules import Rules

if TYPE_CHECKING:
    from llguidance import LLTokenizer


def objection(rules: Rules) -> str | None:
    """Why it would not take ``rules``, None where it does. It takes up to 0.5 s of a core, for
    rules as large as they may be."""
    from llguidance import LLMatcher  # memory that a server without grammars does not need

    is_wrong, said = LLMatcher.validate_grammar_with_warnings(
        LLMatcher.grammar_from_lark(to_lark(rules)), _bytes()
    )
    return " ".join(" ".join(said).split()) if is_wrong else None


@cache
def _bytes() -> LLTokenizer:
    from llguidance import LLTokenizer

    return LLTokenizer("byte")
