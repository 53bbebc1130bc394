"""Models of the hub as Ollama's and llama.cpp's users name them: ``publisher/name[:form]``."""

from __future__ import annotations

import re
from typing import NamedTuple

from frontend.dispatch.dispatcher import Dispatcher

# What may stand before it, which says that it is of the hub.
_PREFIXES = ("hf.co/", "huggingface.co/", "hf:", "https://huggingface.co/", "https://hf.co/")
_WORD = r"[A-Za-z0-9][\w.-]*"
_NAME = re.compile(rf"(?P<repo>{_WORD}/{_WORD})(:(?P<form>{_WORD}))?", re.ASCII)
# What these clients add to a name that has no tag.
_LATEST = "latest"


class HubName(NamedTuple):
    """``form`` is a precision such as ``Q4_K_M``; empty: whatever fits best."""

    repo: str
    form: str = ""

    @property
    def source(self) -> str:
        """As a pull has it."""
        return f"hf:{self.name}"

    @property
    def name(self) -> str:
        """What such a model is called here."""
        return f"{self.repo}:{self.form}" if self.form else self.repo

    @property
    def own_name(self) -> str:
        """The name that its pull has to be told: one without a form is called so by itself."""
        return self.name if self.form else ""


def is_of_the_hub(text: str) -> bool:
    """Whether it says so by itself; else it may be any model."""
    return text.startswith(_PREFIXES)


def parse(text: str) -> HubName | None:
    """None for what names no repository."""
    prefix = next((one for one in _PREFIXES if text.startswith(one)), "")
    found = _NAME.fullmatch(text.removeprefix(prefix))
    if found is None:
        return None
    form = found["form"] or ""
    return HubName(found["repo"], "" if form == _LATEST else form)


def served_as(dispatcher: Dispatcher, text: str) -> str | None:
    """The model that is served under that name, or as that form of its repository; None: none."""
    if (named := parse(text)) is None:
        return None
    if dispatcher.called(named.name) is not None:
        return named.name
    whole = dispatcher.called(named.repo)
    if whole is not None and whole.facts.quantization.casefold() == named.form.casefold():
        return named.repo
    return None
