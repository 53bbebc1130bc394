"""``python -m tests.bench.bare``: one engine without edge-serve, in a process of its own.

It loads the model of the JSON `Spec` in the first line of its input and answers with a `Run`. Then
each line is a JSON `Asked`, answered with the `Run` of it; the end of input ends it.
"""

from __future__ import annotations

import os
import sys
from time import perf_counter, process_time

import msgspec
import psutil

from ipc.messages.spec import Spec
from tests.bench.bare.asked import Asked, Run, Work
from tests.bench.bare.engines import ENGINES


def main() -> None:
    # Libraries print to the standard output; the answers get one of their own.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=Spec)
    work = ENGINES[spec.engine, spec.task](spec)
    answers.write(_line(Run()))
    for line in sys.stdin.buffer:
        answers.write(_line(_timed(work, msgspec.json.decode(line, type=Asked))))


def _timed(work: Work, asked: Asked) -> Run:
    started_at, cpu_s = perf_counter(), process_time()
    amount, first_s = work(asked)
    return Run(
        amount=amount,
        seconds=perf_counter() - started_at,
        cpu_s=process_time() - cpu_s,
        first_s=first_s,
        rss_mb=psutil.Process().memory_info().rss / 2**20,
    )


def _line(run: Run) -> bytes:
    return msgspec.json.encode(run) + b"\n"


if __name__ == "__main__":
    main()
