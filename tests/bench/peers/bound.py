"""How many tokens a second one answer can have at most: each needs the weights read once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gguf import GGUFReader

READ_RATE = "read_gb_per_s"
_EMBEDDINGS, _OUTPUT = "token_embd.weight", "output.weight"


def most_tokens_per_s(gguf: Path, ceilings: Mapping[str, float]) -> float | None:
    """None where it is not known at what rate this machine reads its memory, or what is read."""
    rate = ceilings.get(READ_RATE)
    if rate is None or gguf.suffix != ".gguf":
        return None
    sizes = {tensor.name: int(tensor.n_bytes) for tensor in GGUFReader(gguf).tensors}
    return 1e9 * rate / bytes_of_a_token(sizes)


def bytes_of_a_token(sizes: Mapping[str, int]) -> int:
    """Of all weights, by their name and size: a token needs one row of the embeddings, unless the
    output is computed by the same."""
    all_bytes = sum(sizes.values())
    return all_bytes - sizes[_EMBEDDINGS] if _OUTPUT in sizes else all_bytes
