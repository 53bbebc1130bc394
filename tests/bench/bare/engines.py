"""Which engines have a bare side, by their name and task."""

from __future__ import annotations

from collections.abc import Callable

from ipc.messages.spec import Spec
from tests.bench.bare import chats, others
from tests.bench.bare.asked import Work

SENTENCE_TRANSFORMERS = "sentence-transformers"

ENGINES: dict[tuple[str, str], Callable[[Spec], Work]] = {
    ("openvino", "chat"): chats.openvino,
    ("llama.cpp", "chat"): chats.llama_cpp,
    ("torch", "chat"): chats.torch,
    ("openvino", "embed"): others.embed,
    (SENTENCE_TRANSFORMERS, "embed"): others.sentence_transformers,
    ("ctranslate2", "speech"): others.speech,
}
