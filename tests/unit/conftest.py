"""What all unit tests share."""

from __future__ import annotations

from hypothesis import settings

# A machine under load is slow, not wrong: no example has a time limit of its own.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
