"""The messages under one name: what an engine of a user's own imports.

Inside edge-serve each is imported from its module in `ipc.messages`.
"""

# ruff: noqa: F403
from __future__ import annotations

from ipc.messages.blob import *
from ipc.messages.events import *
from ipc.messages.jobs import *
from ipc.messages.spec import *
from ipc.messages.state import *
from ipc.tasks import CAPABILITIES as CAPABILITIES
from ipc.tasks import TRANSLATION as TRANSLATION
from ipc.tasks import VISION as VISION
from ipc.tasks import capabilities as capabilities
