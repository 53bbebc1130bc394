"""What llguidance says of a grammar, by its own compiler and for any model's bytes."""

from __future__ import annotations

from llguidance import LLMatcher, LLTokenizer

from ipc.grammar.lark import to_lark
from ipc.grammar.rules import Rules

_BYTES = LLTokenizer("byte")


def objection(rules: Rules) -> str | None:
    """Why it would not take ``rules``, None where it does. It takes up to 0.5 s of a core, for
    rules as large as they may be."""
    is_wrong, said = LLMatcher.validate_grammar_with_warnings(
        LLMatcher.grammar_from_lark(to_lark(rules)), _BYTES
    )
    return " ".join(" ".join(said).split()) if is_wrong else None
