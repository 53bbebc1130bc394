"""``python -m tests.process.figures.migration``: streams whose worker is killed while it writes.

    python -P -m tests.process.figures.migration --model FILE --cache DIR --engine openvino
        [--api responses] [--kills 10] [--keep FILE]
    python -P -m tests.process.figures.migration --table FILE...

A greedy answer of 200 tokens is asked for; its worker is killed (kill -9) once 50 of them have
come, and the next time once 120 have. Its text is compared with those of unbroken answers, which
are more than one where an engine does not repeat itself; where it is none of them it is said how
far apart the two tokens are at which it parts from the nearest. After each kill an operator's
restart is asked for, which forgets the failures before it, so that the circuit stays closed.
``--keep`` writes each kill to a file, so that a hundred can be made in several runs; ``--table``
prints the table of docs/reliability.md from such files.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

from ipc.messages.spec import Spec
from tests.process.box import CHAT, Box, boxes, spec, wait_until
from tests.process.figures.migration.parting import parting
from tests.process.figures.migration.streams import APIS, HUNG_S, Answer, ask, kill_worker
from tests.process.figures.migration.table import Kill, keep, kept, show
from tests.process.figures.migration.timeline import timeline

# The first load may have to convert the model.
FIRST_LOAD_S = 300.0
UNBROKEN = 3


class Run:
    """Kills in one server; ``unbroken`` are the different texts that it has written undisturbed."""

    def __init__(self, box: Box, args: argparse.Namespace) -> None:
        self._box = box
        self._args = args
        self.unbroken: list[Answer] = []
        for _ in range(UNBROKEN):
            self._add_unbroken()

    def kill(self, killed_at: int) -> Kill | None:
        """One stream whose worker is killed; None where it had ended before."""
        load_average = os.getloadavg()[0]
        box, args = self._box, self._args
        found = ask(box, args.api, args.tokens, killed_at, lambda: kill_worker(box))
        wait_until(lambda: box.ask("/readyz") == 200, HUNG_S)
        if found.killed_at is None:
            return None
        times = timeline(box, found.killed_at, found.gap[1])
        load_s = self._load_s()
        if found.text not in self._texts:
            self._add_unbroken()
        told = Kill(
            engine=args.engine,
            api=args.api,
            killed_at=killed_at,
            gap_s=found.gap_s,
            load_s=load_s,
            start_s=times.start_s,
            first_s=times.first_s,
            load_average=load_average,
            is_whole=found.ends == 1 and not found.error and found.usage == self._usage(found),
            is_consistent=found.is_consistent,
            is_same=found.text in self._texts,
            migrated=found.migrated,
            joint=len("".join(found.texts[:killed_at])),
            error=found.error,
            **self._parting(found),
        )
        keep(args.keep, told)
        return told

    @property
    def _texts(self) -> list[str]:
        return [one.text for one in self.unbroken]

    def _usage(self, found: Answer) -> int:
        """The tokens that it should count: its limit, or those of the answer with its text, which
        may have come to its own end."""
        same = [one.usage for one in self.unbroken if one.text == found.text]
        return same[0] if same else found.usage if self._args.api != "chat" else self._args.tokens

    def _parting(self, found: Answer) -> dict[str, Any]:
        if found.text in self._texts:
            return {}
        partings = [parting(self._box, found, other) for other in self.unbroken]
        last = max(partings, key=lambda one: one.at)
        return {"parts": last.at, "mine": last.mine, "others": last.others, "apart": last.apart}

    def _add_unbroken(self) -> None:
        answer = ask(self._box, self._args.api, self._args.tokens)
        if answer.text not in self._texts:
            self.unbroken.append(answer)

    def _load_s(self) -> float:
        models = self._box.health()["models"]
        return float(next(each["load_s"] for each in models if each["name"] == CHAT) or 0.0)


def model(args: argparse.Namespace) -> Spec:
    return spec(
        CHAT,
        engine=args.engine,
        path=str(args.model.absolute()),
        cache=str(args.cache.absolute()),
        slots=2,
        threads=args.threads,
        options={"prefix_caching": False} if args.no_prefixes else {},
    )


def run(args: argparse.Namespace) -> None:
    end_at = time.monotonic() + args.seconds
    kills: list[Kill] = []
    with boxes() as make:
        box = make(model(args))
        wait_until(lambda: box.ask("/readyz") == 200, FIRST_LOAD_S)
        kills_of = Run(box, args)
        for number in range(args.kills):
            if time.monotonic() > end_at:
                break
            told = kills_of.kill(args.at[number % len(args.at)])
            kills += [] if told is None else [told]
        print(f"{len(kills_of.unbroken)} different texts of unbroken answers")
    show(kills)


def main() -> None:
    parser = argparse.ArgumentParser(prog="migration", description=__doc__)
    parser.add_argument("--table", type=Path, nargs="+", metavar="FILE")
    parser.add_argument("--model", type=Path, help="a GGUF file")
    parser.add_argument("--engine", default="llama.cpp")
    parser.add_argument("--cache", type=Path, default=Path("models"), help="for what is converted")
    parser.add_argument("--api", default="chat", choices=APIS)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--at", type=int, nargs="+", default=[50, 120], metavar="TOKENS")
    parser.add_argument("--tokens", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=270.0, help="no kill begins after these")
    parser.add_argument("--no-prefixes", action="store_true", help="with prefix_caching: false")
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    if args.table:
        show(kept(args.table))
    elif args.model is None:
        parser.error("--model or --table is needed")
    else:
        run(args)


if __name__ == "__main__":
    main()
