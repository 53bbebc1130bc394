"""Loaded by schemathesis, which sends what the description allows and what it does not."""

from __future__ import annotations

from typing import Any

import schemathesis

ECHO_DIMENSIONS = 8


@schemathesis.hook
def before_call(_: Any, case: Any, __: Any) -> None:
    """How many dimensions a model can make is known to its engine only."""
    if isinstance(case.body, dict):
        wanted = case.body.get("dimensions")
        if isinstance(wanted, int | float) and not isinstance(wanted, bool) and wanted >= 1:
            case.body["dimensions"] = ECHO_DIMENSIONS
