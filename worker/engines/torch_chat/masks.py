"""Which tokens each slot may get next, brought from the host to the device."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ipc.messages.errors import ServeError
from worker.engines.torch_chat.grammars import Matcher, mask_words

_ALL = -1  # every bit of an int32


class Masks:
    """A mask of ``tokens`` bits for each of ``slots``.

    They are filled on the host and copied while it goes on. The rows of a step are written again
    only once its tokens have come to the host, and so after they have been copied.
    """

    def __init__(self, slots: int, tokens: int, device: torch.device) -> None:
        shape = (slots, mask_words(tokens))
        self._host = torch.full(shape, _ALL, dtype=torch.int32, pin_memory=device.type == "cuda")
        self.on_device = self._host.to(device, copy=True)

    def put(self, first: int, matchers: Sequence[Matcher | None]) -> list[ServeError | None]:
        """Fill and send the rows from ``first`` on: what each matcher admits next, None for any
        token. Returns what has gone wrong with each; such a one admits any token."""
        failed = [self._fill(self._host[row], one) for row, one in enumerate(matchers, first)]
        rows = slice(first, first + len(matchers))
        self.on_device[rows].copy_(self._host[rows], non_blocking=True)
        return failed

    def _fill(self, row: torch.Tensor, matcher: Matcher | None) -> ServeError | None:
        if matcher is not None:
            try:
                matcher.fill(row)
            except ServeError as error:
                row.fill_(_ALL)
                return error
            return None
        row.fill_(_ALL)
        return None
