"""Edits: one answer at a time, which repeats most of a long prompt."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import msgspec

from bench.words import Prompts
from ipc.engines import serving as engine_serving
from ipc.messages.spec import Spec
from ipc.options import described
from supervisor.config.settings import ROOT
from tests.bench.box import serving
from tests.bench.peers.chat import ask
from tests.bench.peers.results import Measured, Metric
from tests.bench.peers.run import Run
from tests.bench.peers.servers import all_running
from tests.bench.peers.sides import OURS, Side, ours, theirs
from tests.bench.peers.turns import Turns

LOOKUP = f"{OURS}, lookup"
OPTION = "prompt_lookup"
LINES = 150
# A whole answer has four times as many: this is long enough to see how fast one is written.
ANSWER_TOKENS = 384
CONTEXT_TOKENS = 4096
# Modules of this project, of an ordinary kind.
MODULES = (
    "bench/client.py",
    "frontend/dispatch/fair/waiting.py",
    "frontend/store/database.py",
    "frontend/uploads/upload.py",
    "ipc/options.py",
    "supervisor/children/process.py",
    "ipc/runtime/durable.py",
    "frontend/batches/store.py",
)


class Edits:
    """Prompts that ask for a function's new name in the beginning of a module, none twice."""

    def __init__(self) -> None:
        self._modules = itertools.cycle(MODULES)
        self._numbers = itertools.count(1)

    def take(self) -> str:
        lines = (ROOT / next(self._modules)).read_text().splitlines()[:LINES]
        return prompt(next(self._numbers), "\n".join(lines))


def prompt(number: int, code: str) -> str:
    """The ``number`` stands first, so that nothing of an earlier prompt is kept for this one."""
    name = next(_functions(code))
    return (
        f"Task {number}. Here is a Python module:\n\n```python\n{code}\n```\n\n"
        f"Rename the function `{name}` to `{name}_now` wherever it stands, and change nothing "
        "else. Answer with the whole module and nothing else."
    )


def _functions(code: str) -> Iterator[str]:
    return (found[1] for found in re.finditer(r"def ([a-z]\w*)\(", code))


async def measure(run: Run) -> None:
    """edge-serve as it comes, and where its engine can guess from the prompt also with that."""
    edits = Edits()
    spec = msgspec.structs.replace(run.chat_spec(), slots=1)
    plain = _with(spec, spec.name, kv_cache_tokens=CONTEXT_TOKENS)
    specs = [plain]
    if looks_up(spec):
        specs.append(_with(plain, f"{spec.name}-lookup", **{OPTION: True}))
    else:
        run.say(f"{LOOKUP}: engine {spec.engine} has no option {OPTION}; left out")
    files = replace(run.files, streams=1, context_tokens=CONTEXT_TOKENS)
    async with AsyncExitStack() as stack:
        box = await stack.enter_async_context(serving(specs))
        await box.ready()
        names = zip((OURS, LOOKUP), specs, strict=False)
        sides = [
            replace(ours(box, "/v1/chat/completions", one.name), name=name) for name, one in names
        ]
        others = await all_running(stack, run.peers, files, run.say)
        turns = Turns(
            [*sides, *(theirs(one, files) for one in others)], run.rounds, run.results, run.say
        )
        await turns.warm(Prompts().take(1), ask)
        await turns.row("1", edits.take, _edit)


def looks_up(spec: Spec) -> bool:
    """Whether its engine has the option to guess from the prompt."""
    found = engine_serving(spec.engine, "chat")
    return found is not None and any(one.name == OPTION for one in described(found.options))


def _with(spec: Spec, name: str, **options: int) -> Spec:
    return msgspec.structs.replace(spec, name=name, options={**spec.options, **options})


async def _edit(side: Side, given: str) -> Measured:
    chats = await ask(side, [given], ANSWER_TOKENS)
    return {
        Metric("edit: completion tokens after the first", "tokens/s"): chats.rate_after_first,
        Metric("edit: time to first token", "ms"): 1000 * chats.first_s,
        Metric("edit: processor time of a token", "ms"): 1000 * chats.cpu_s / chats.tokens,
        Metric("edit: length of an answer", "tokens"): chats.tokens,
    }
