"""What tells the files of one model from those of another. The daemon only compares."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def weights_digest(facts: Mapping[str, str]) -> str:
    """What tells these files from others: ``facts`` has the digest of each by its name, or what
    else changes with it. Empty if there are none."""
    return digest_of(facts)[:16] if facts else ""


def digest_of(facts: Mapping[str, str]) -> str:
    """The same as a whole SHA-256 in hexadecimal, also of nothing."""
    lines = "\n".join(f"{name} {fact}" for name, fact in sorted(facts.items()))
    return hashlib.sha256(lines.encode()).hexdigest()
