"""What tells the files of one model from those of another. The daemon only compares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def weights_digest(facts: Mapping[str, str]) -> str:
    """What tells these files from others: ``facts`` has the digest of each by its name, or what
    else changes with it. Empty if there are none."""
    if not facts:
        return ""
    lines = "\n".join(f"{name} {fact}" for name, fact in sorted(facts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()[:16]
