"""What a child prints: kept, and passed on line by line."""

from __future__ import annotations

import asyncio
import os
import sys

from ipc.runtime.recent_lines import LINE_CHARS, RecentLines
from supervisor.children.output import Output

DEADLINE_S = 30.0


async def printed(*command: str) -> tuple[list[str], list[str]]:
    """What is kept and what is passed on of what a program says, to its end."""
    kept, passed = RecentLines(), list[str]()
    output = Output(kept, passed.append)
    child = await asyncio.create_subprocess_exec(*command, stdout=output.fd, stderr=output.fd)
    output.on_started()
    await child.wait()
    async with asyncio.timeout(DEADLINE_S):
        await output.ended.wait()
    return kept.tail(1000).lines, passed


def test_both_streams_are_read_to_their_end() -> None:
    program = "import os; os.write(1, b'one\\ntw'); os.write(2, b'o\\n\\xffthree')"
    kept, passed = asyncio.run(printed(sys.executable, "-c", program))
    assert kept == passed == ["one", "two", "\\xffthree"]


def test_a_line_without_an_end_is_not_held_for_ever() -> None:
    async def main() -> list[str]:
        kept = RecentLines()
        output = Output(kept, lambda _: None)
        os.write(output.fd, b"x" * (LINE_CHARS + 1))
        output.read()
        os.write(output.fd, b"y\n")
        output.on_started()
        output.read()
        return kept.tail(9).lines

    assert asyncio.run(main()) == ["x" * LINE_CHARS + "...", "y"]


def test_what_a_grandchild_says_later_is_read_too() -> None:
    later = "import time; time.sleep(0.2); print('later', flush=True)"
    program = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {later!r}])"
    kept, _ = asyncio.run(printed(sys.executable, "-c", program))
    assert kept == ["later"]


def test_one_that_prints_without_a_pause_leaves_time_for_all_else() -> None:
    async def main() -> None:
        written = 0

        def write_more(_: str) -> None:
            nonlocal written
            written += os.write(output.fd, b"more\n")

        output = Output(RecentLines(), write_more)
        written += os.write(output.fd, b"more\n")
        output.read()
        assert written > 0, "it has come back, though there is more to read"
        async with asyncio.timeout(DEADLINE_S):
            while written < 5000:  # noqa: ASYNC110 - it is for the loop to read on
                await asyncio.sleep(0)
        output.on_started()

    asyncio.run(main())


def test_all_that_a_pipe_holds_is_read_at_once() -> None:
    async def main() -> int:
        kept = RecentLines()
        output = Output(kept, lambda _: None)
        os.write(output.fd, b"x\n" * (32 << 10))
        output.on_started()
        output.read()
        assert output.ended.is_set()
        return kept.tail(1).last

    assert asyncio.run(main()) == 32 << 10
