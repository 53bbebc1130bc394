"""What a job costs, in tokens of a prompt: the measure by which clients are served alike.

After the Virtual Token Counter (Sheng et al., Fairness in Serving Large Language Models, OSDI 2024,
section 3.2): tokens read and tokens written, each with a weight. Time would be blurred by whatever
else the machine does, and by who shares a step.
"""

from __future__ import annotations

from ipc.messages.events import Usage

# Tokens read in the time of one that is written, where eight answers are written at once: 1,600 a
# second of long prompts, 440 of answers (docs/performance.md, chat beside the bare engine).
WRITTEN = 4.0
# Of the newest job in the average of a client's.
_WEIGHT = 0.2


def cost_of(usage: Usage) -> float:
    """The cost of a job that took so much. What was in the cache costs nothing; a job costs 1."""
    read = usage.prompt_tokens - (usage.cached_tokens or 0)
    return max(1.0, read + WRITTEN * usage.completion_tokens)


def averaged(before: float | None, cost: float) -> float:
    """The moving average with one more job in it."""
    return cost if before is None else before + _WEIGHT * (cost - before)
