"""Log probabilities: what the device keeps of a step, and what is told of a token."""

from __future__ import annotations

import torch

from ipc.messages.events import TokenLogprob
from worker.chat.vocabulary import Vocabulary

# The likeliest tokens that are kept, as many as a request may ask for.
MOST_LIKELY = 20


def log_probabilities(logits: torch.Tensor, tokens: torch.Tensor, likely: int) -> torch.Tensor:
    """What is told of the ``tokens`` [rows] picked by raw ``logits`` [rows, vocabulary]: float32
    [rows, 1 + 2 * likely], its log probability, those of the likeliest tokens and their ids, which
    float32 holds up to 2**24."""
    logits = logits.float()
    whole = logits.logsumexp(-1, keepdim=True)
    chosen = logits.gather(-1, tokens[:, None])
    top, ids = logits.topk(likely, -1)
    return torch.cat([chosen - whole, top - whole, ids.float()], -1)


def logprob_of(token: int, row: list[float], likely: int, vocabulary: Vocabulary) -> TokenLogprob:
    """What `log_probabilities` told of ``token`` in a ``row``, with so many ``likely`` ones."""
    kept = len(row) // 2
    logprobs, ids = row[1 : 1 + likely], map(int, row[1 + kept :])
    top = [
        TokenLogprob(one, vocabulary.text_bytes(one), logprob)
        for one, logprob in zip(ids, logprobs, strict=False)
    ]
    return TokenLogprob(token, vocabulary.text_bytes(token), row[0], top)
