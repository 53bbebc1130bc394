"""Settings of the reference server that have lost their meaning here, and what does their work.

They are accepted, so that an environment written for that server starts this one.
"""

from __future__ import annotations

from collections.abc import Mapping

_ONE_THREAD = (
    "each model computes on one thread of a process of its own; `replicas` in its catalog entry "
    "adds processes"
)
_COUNTING = "prompts are counted in the model's own process, where they hold up nobody else"
_QUEUEING = (
    "a request waits in its model's queue, in order and without tries; CHAT_BATCH_QUEUE_SIZE "
    "bounds it"
)

REPLACED: dict[str, str] = {
    "CHAT_BATCH_WINDOW_MS": "a request joins the running batch at the next token; there is no "
    "window to wait for, and CHAT_BATCH_MAX_SIZE bounds the batch",
    "CHAT_COUNT_MAX_WORKERS": _COUNTING,
    "CHAT_COUNT_USE_CHAT_EXECUTOR": _COUNTING,
    "CHAT_REQUEUE_RETRIES": _QUEUEING,
    "CHAT_REQUEUE_BASE_DELAY_MS": _QUEUEING,
    "EMBEDDING_MAX_WORKERS": _ONE_THREAD,
    "CHAT_MAX_WORKERS": _ONE_THREAD,
    "VISION_MAX_WORKERS": _ONE_THREAD,
    "AUDIO_MAX_WORKERS": _ONE_THREAD,
    "WARMUP_INFERENCE_MODE": "engines never keep gradients, in warm-up or later",
}


def warnings(environment: Mapping[str, str]) -> list[str]:
    """One warning that names every such variable that is set, each with what replaces it."""
    found = [name for name in REPLACED if environment.get(name)]
    lines = [f"{name} has no effect: {REPLACED[name]}" for name in found]
    return ["\n".join(lines)] if lines else []
