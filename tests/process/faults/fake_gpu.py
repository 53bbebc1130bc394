"""A GPU in a file, for the supervisors that find the library in fake_nvml/."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol
from unittest import mock

LIBRARY = Path(__file__).parent / "fake_nvml"


class Use(Protocol):
    def __call__(self, used: int, held: dict[int, int]) -> None:
        """So many bytes are in use, and so many of them by these processes."""


@contextmanager
def fake_gpu(file: Path) -> Iterator[Use]:
    """Has the boxes that are started in its block see a GPU, whose use is kept in ``file``."""

    def use(used: int, held: dict[int, int]) -> None:
        written = file.with_suffix(".new")
        written.write_text(json.dumps({"used": used, "held": held}))
        written.replace(file)

    use(0, {})
    path = os.pathsep.join(filter(None, [str(LIBRARY), os.environ.get("PYTHONPATH")]))
    with mock.patch.dict(os.environ, PYTHONPATH=path, FAKE_NVML=str(file)):
        yield use
