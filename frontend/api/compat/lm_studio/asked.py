"""What clients of LM Studio's API ask."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import StringConstraints

from frontend.api.fields import Name
from frontend.api.validate import Body

_HUB = re.compile(r"^https://huggingface\.co/(?P<repository>[^/]+/[^/]+)$")
_WORD = r"[A-Za-z0-9][A-Za-z0-9_.:@/+-]*"
_Source = StringConstraints(pattern=rf"^(https://huggingface\.co/)?{_WORD}$", max_length=512)
_Variant = StringConstraints(pattern=rf"^{_WORD}$", max_length=512)


class LmStudioLoad(Body):
    """A model stays as its entry has it: what else is asked of its load is skipped.
    ``echo_load_config`` has the answer tell how it is loaded."""

    EXAMPLE: ClassVar[Any] = {
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "echo_load_config": True,
    }

    model: Name
    echo_load_config: bool = False


class LmStudioUnload(Body):
    EXAMPLE: ClassVar[Any] = {"instance_id": "HuggingFaceTB/SmolLM2-135M-Instruct"}

    instance_id: Name


class LmStudioDownload(Body):
    """``model`` is one of the catalog, or a link to a repository of the hub, of which
    ``quantization`` is one precision."""

    EXAMPLE: ClassVar[Any] = {
        "model": "https://huggingface.co/unsloth/Qwen3-0.6B-GGUF",
        "quantization": "Q4_K_M",
    }

    model: Annotated[str, _Source]
    quantization: Annotated[str, _Variant] | None = None

    @property
    def source(self) -> str:
        """As a pull has it."""
        hub = _HUB.match(self.model)
        source = f"hf:{hub['repository']}" if hub else self.model
        return f"{source}:{self.quantization}" if self.quantization else source
