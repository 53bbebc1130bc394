"""How people name a model of the hub: ``hf:publisher/repository[@revision][:variant or file]``."""

from __future__ import annotations

import re
from typing import NamedTuple

from supervisor.config.errors import ConfigError

# Also as a browser has it, and as Ollama's and llama.cpp's users write it.
_PREFIXES = ("hf:", "hf.co/", "huggingface.co/", "https://huggingface.co/", "https://hf.co/")
_FORM = re.compile(
    r"(?P<repo>[\w-][\w.-]*/[\w-][\w.-]*)(@(?P<revision>[\w./-]+))?(:(?P<wanted>[\w./-]+))?",
    re.ASCII,
)


class Reference(NamedTuple):
    """``wanted`` is a variant such as ``Q4_K_M``, or a file; empty: whatever fits best."""

    repo: str
    revision: str = "main"
    wanted: str = ""

    @property
    def origin(self) -> str:
        """The source that an entry names."""
        return f"hf:{self.repo}" + (f"@{self.revision}" if self.revision != "main" else "")


def is_reference(text: str) -> bool:
    """Whether ``text`` names a place on the hub rather than a model of the catalog."""
    return text.startswith(_PREFIXES)


def parse(text: str) -> Reference:
    """Raises `ConfigError`."""
    prefix = next((one for one in _PREFIXES if text.startswith(one)), "")
    found = _FORM.fullmatch(text.removeprefix(prefix).rstrip("/"))
    if not prefix or found is None or ".." in text:
        raise ConfigError(
            f"{text!r} names no model of the hub; write hf:<publisher>/<repository>, perhaps with "
            ":<variant or file> after it, such as hf:unsloth/Qwen3-0.6B-GGUF:Q4_K_M"
        )
    return Reference(found["repo"], found["revision"] or "main", found["wanted"] or "")
