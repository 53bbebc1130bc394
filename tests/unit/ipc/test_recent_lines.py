"""The last lines that a process has said."""

from __future__ import annotations

from ipc.runtime.recent_lines import LINE_CHARS, Lines, RecentLines


def test_lines_are_numbered_and_the_oldest_make_room() -> None:
    lines = RecentLines(lines=3, chars=1000)
    for word in ("one", "two", "three", "four"):
        lines.add(word)
    assert lines.tail(10) == Lines(["two", "three", "four"], 4)
    assert lines.tail(2) == Lines(["three", "four"], 4)
    assert lines.tail(0) == Lines([], 4)


def test_who_goes_on_gets_those_behind_the_last_one_that_he_has() -> None:
    lines = RecentLines(lines=3, chars=1000)
    for word in ("one", "two", "three", "four"):
        lines.add(word)
    assert lines.tail(10, after=3) == Lines(["four"], 4)
    assert lines.tail(10, after=4) == Lines([], 4)
    assert lines.tail(10, after=99) == Lines(["two", "three", "four"], 4)  # of another run


def test_characters_are_bounded_too() -> None:
    lines = RecentLines(lines=100, chars=10)
    for _ in range(5):
        lines.add("abcd")
    assert lines.tail(100).lines == ["abcd", "abcd"]
    long = RecentLines()
    long.add("x" * (LINE_CHARS + 1))
    assert long.tail(1).lines == ["x" * LINE_CHARS + "..."]


def test_a_text_of_several_lines_is_several() -> None:
    lines = RecentLines()
    lines.add("Traceback\n  in f")
    assert lines.tail(9) == Lines(["Traceback", "  in f"], 2)
