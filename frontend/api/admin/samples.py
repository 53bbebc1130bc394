"""GET /admin/samples: how the machine and its models stood over the last hours or days"""

from __future__ import annotations

import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from frontend.api.admin.asked import SamplesQuery
from frontend.api.admin.models import as_json
from frontend.api.validate import check_query
from frontend.history.samples import ModelSample, Sample
from frontend.history.sampling import Sampling
from frontend.store import database
from ipc.messages.errors import Unavailable

HOUR_S = 3600.0


class Samples:
    """Those that are kept; none of what a model was asked."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling

    async def index(self, request: Request) -> Response:
        asked = check_query(SamplesQuery, request)
        since_s = time.time() - HOUR_S if asked.since is None else asked.since
        try:
            found = await self._sampling.between(since_s, asked.until, asked.limit)
        except database.Unavailable as error:
            raise Unavailable(f"no samples can be read: {error}") from None
        return as_json({"samples": [told(one) for one in found]})


def told(sample: Sample) -> dict[str, Any]:
    return {
        "time": round(sample.time_s, 3),
        "cpu_percent": sample.cpu_percent,
        "memory_used_mb": sample.memory_used_mb,
        "memory_total_mb": sample.memory_total_mb,
        "models": {name: _model(one) for name, one in sample.models.items()},
    }


def _model(sample: ModelSample) -> dict[str, Any]:
    return msgspec.structs.asdict(sample)
