"""What the end of a prompt says about where its answer begins."""

from __future__ import annotations

from worker.chat.parsing.reading import Thinking


def begins_thinking(thinking: Thinking | None, tail: str, *, continues: bool) -> bool:
    """Whether an answer begins inside of reasoning, by the end of its prompt: it opens it, or, in
    an answer that is continued, has not closed it."""
    if thinking is None:
        return False
    opens, closes = thinking.opens.strip(), thinking.closes.strip()
    if continues:
        return tail.rfind(opens) > tail.rfind(closes)
    return tail.rstrip().endswith(opens)


def ended_thinking(thinking: Thinking, tail: str) -> bool:
    """Whether the prompt has closed the reasoning, so that there is none."""
    return tail.rstrip().endswith(thinking.closes.strip())
