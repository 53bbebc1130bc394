"""What is asked where answers with prompt lookup are held against those without."""

from __future__ import annotations

from msgspec.structs import replace

from ipc.messages.jobs import ChatInput, Gbnf, Job
from tests.contract.driver import chat

LIST = "red apple, green pear, blue plum, ripe fig, sweet grape, dried date, wild berry, sour lime"
ASKED = [
    f"Say this again, word for word: {LIST}",
    f"Write this three times: {LIST}",
    "Why is the sea salty?",
]


def bound_to_the_list() -> Job:
    """A chat whose answer may be four of the list, and nothing else."""
    words = " | ".join(f'"{one}"' for one in LIST.split(", "))
    one = chat(ASKED[1], max_tokens=40)
    assert isinstance(one.input, ChatInput)
    form = Gbnf(text=f'root ::= word ", " word ", " word ", " word\nword ::= {words}')
    return replace(one, input=replace(one.input, form=form))
