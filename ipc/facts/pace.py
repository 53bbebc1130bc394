"""How fast an engine was on a box, measured in a process of its own as a model was pulled."""

from __future__ import annotations

from typing import Annotated

import msgspec

PerSecond = Annotated[float, msgspec.Meta(gt=0)]


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens a second: written by one answer ``alone``, by as many together as the model has slots,
    and read of a prompt."""

    alone_per_s: PerSecond
    full_per_s: PerSecond
    prompt_per_s: PerSecond
