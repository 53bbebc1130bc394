"""From logits to log probabilities, without torch."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def log_sum(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What is taken from each row of ``logits``, of shape (rows, tokens), for log probabilities."""
    most = logits.max(-1)
    found: npt.NDArray[np.float32] = most + np.log(np.exp(logits - most[:, np.newaxis]).sum(-1))
    return found
