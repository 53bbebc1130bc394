"""What is kept of prefixes: by model and by its files, within bounds."""

from __future__ import annotations

import msgspec

from ipc.messages.control import MOST_PREFIX_BYTES
from ipc.messages.spec import FileFacts, Spec
from supervisor.state.prefixes import MOST_BYTES, Kept, find, told

CHAT = Spec(name="chat", task="chat", engine="echo", path="", facts=FileFacts(digest="d1"))
OTHER_FILES = msgspec.structs.replace(CHAT, facts=FileFacts(digest="d2"))
SECOND = msgspec.structs.replace(CHAT, name="second")


def test_the_last_that_was_told_is_found() -> None:
    kept = told(told(told((), CHAT, b"old"), SECOND, b"other"), CHAT, b"new")
    assert (find(kept, CHAT), find(kept, SECOND)) == (b"new", b"other")


def test_other_files_have_other_tokens() -> None:
    kept = told((), CHAT, b"told")
    assert find(kept, OTHER_FILES) == b""
    assert len(told(kept, OTHER_FILES, b"told")) == 1  # the old ones are not coming back


def test_with_nothing_told_it_is_forgotten() -> None:
    assert told(told((), CHAT, b"told"), CHAT, b"") == ()


def test_more_than_a_worker_may_tell_is_not_kept() -> None:
    assert told((), CHAT, bytes(MOST_PREFIX_BYTES + 1)) == ()


def test_who_has_told_nothing_for_the_longest_time_makes_room() -> None:
    kept: Kept = ()
    specs = [msgspec.structs.replace(CHAT, name=str(at)) for at in range(20)]
    for spec in specs:
        kept = told(kept, spec, bytes(MOST_PREFIX_BYTES))
    assert [bool(find(kept, spec)) for spec in specs] == [False] * 4 + [True] * 16
    assert sum(len(one.data) for one in kept) == MOST_BYTES
