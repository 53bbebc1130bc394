"""The real jobs that a model must answer before it counts as ready: of each thing that it can do,
as many at once and as often as its spec says."""

from __future__ import annotations

import sys
import time

from ipc.facts.samples import grey_png
from ipc.messages.blob import Blob
from ipc.messages.events import Failed, Terminal
from ipc.messages.jobs import Image, Input, Job, Text
from ipc.messages.spec import Spec
from ipc.tasks import TASKS, VISION, short_chat
from worker.engine import Engine, LoadError

_IMAGE_SIDE = 64
_LONG_WORDS = 1000
_MOST_TOKENS_OF_A_WORD = 4
_USUAL_TOKENS = 4096
_POLL_S = 0.02
# A first run may compile kernels; a model that needs longer than this would not serve anyone.
TIMEOUT_S = 300.0


def warm(engine: Engine, spec: Spec, context_tokens: int | None = None) -> dict[str, str]:
    """Run the warm-up jobs of the model's own task through the engine. ``context_tokens`` is what
    a prompt and its answer may have together, where the engine knows.

    Returns how it went for each capability, ``ok`` or ``skipped``; raises `LoadError` when it did
    not go well.
    """
    inputs = _inputs(spec)
    if not spec.warmup.steps:
        return dict.fromkeys(inputs, "skipped")
    count = at_once(spec, _free_vram_mb(spec.device))
    for capability in inputs:
        for step in range(spec.warmup.steps):
            _round(engine, spec, capability, [_inputs(spec, step)[capability]] * count)
    if spec.task == "chat" and spec.device.startswith("cuda"):
        limits = [limit for limit in (spec.max_prompt_tokens, context_tokens) if limit]
        room = min(limits, default=_USUAL_TOKENS)
        _round(engine, spec, TASKS["chat"].capability, [short_chat(_long_text(room))])
    return dict.fromkeys(inputs, "ok")


def at_once(spec: Spec, free_vram_mb: int | None) -> int:
    """How many jobs a round has: the spec's wish, within its slots and the GPU's memory.

    ``free_vram_mb`` is None where nobody knows, or there is no GPU.
    """
    warmup = spec.warmup
    wanted = min(warmup.batch_size, spec.slots)
    budget_mb = warmup.vram_budget_mb or free_vram_mb
    if not spec.device.startswith("cuda") or not warmup.vram_per_job_mb or budget_mb is None:
        return wanted
    return max(1, min(wanted, budget_mb // warmup.vram_per_job_mb))


def _free_vram_mb(device: str) -> int | None:
    """What CUDA has left; only an engine that has imported torch can be asked."""
    torch = sys.modules.get("torch")
    if torch is None or not device.startswith("cuda"):
        return None
    free_bytes, _ = torch.cuda.mem_get_info(device)
    return int(free_bytes) >> 20


def _round(engine: Engine, spec: Spec, capability: str, inputs: list[Input]) -> None:
    """Have all ``inputs`` answered, in one batch if the engine has room for that."""
    deadline_at = time.monotonic() + TIMEOUT_S
    waiting = [
        Job(id=f"warm-up-{at}", model=spec.name, input=asked, deadline_at=deadline_at)
        for at, asked in enumerate(inputs)
    ]
    running: set[str] = set()
    while waiting or running:
        while waiting and engine.admit(waiting[0]):
            running.add(waiting.pop(0).id)
        if not running:
            raise LoadError("the warm-up job found no room in an empty engine")
        if time.monotonic() > deadline_at:
            raise LoadError(
                f"warm-up of {capability} did not finish within {TIMEOUT_S:.0f} s", permanent=False
            )
        running -= _step(engine, capability)


def _step(engine: Engine, capability: str) -> set[str]:
    """One step; returns the jobs that it has answered."""
    # An engine that waits for its batch to fill, or for somebody else, is not to be hurried.
    time.sleep(min(engine.wait_s() or 0.0, _POLL_S))
    ended = [event for event in engine.step() if isinstance(event, Terminal)]
    for event in ended:
        if isinstance(event, Failed):
            raise LoadError(
                f"warm-up of {capability} failed: {event.error.message}", permanent=False
            )
    return {event.job for event in ended}


def _inputs(spec: Spec, step: int = 0) -> dict[str, Input]:
    """A small job for each thing that the model can do, by capability."""
    task = TASKS[spec.task]
    inputs = {task.capability: task.warm_up(step)}
    if spec.vision:
        image = Image(Blob(grey_png(_IMAGE_SIDE)))
        inputs[VISION] = short_chat([image, Text("What is this?")])
    return inputs


def _long_text(room_tokens: int) -> str:
    """A text that fills a large part of a step's tokens: a GPU compiles and chooses kernels by
    size, so after a short prompt alone the first long one took 2 to 3 s more on an H200."""
    return "the " * min(_LONG_WORDS, room_tokens // _MOST_TOKENS_OF_A_WORD)
