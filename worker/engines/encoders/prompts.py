"""What a checkpoint wants before each text, by what the text is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import EmbedInput, Purpose
from worker.engine import LoadError

# How checkpoints call their prompts, in small letters: sentence-transformers' own names first, then
# those of e5 and Snowflake's arctic (query), of e5 (passage), of nomic (search_…).
_NAMES: Mapping[Purpose, tuple[str, ...]] = {
    "query": ("query", "search_query", "s2p_query", "retrieval-query"),
    "document": ("document", "passage", "search_document", "retrieval-document"),
    "classification": ("classification",),
    "clustering": ("clustering",),
}


class Prompts:
    """A checkpoint's prompts, by name, and the one for texts of which nothing is said.

    A prompt is read together with a client's text, and so as plain text: one with a ``control``
    token is not served. Raises `LoadError` where the ``usual`` one has such a token.
    """

    def __init__(self, named: Mapping[str, str], usual: str, control: Collection[str]) -> None:
        if found := _first_in(control, usual):
            raise LoadError(f"the checkpoint's prompt has the control token {found}, not served")
        self._named = {
            name: prompt for name, prompt in named.items() if not _first_in(control, prompt)
        }
        self.usual = usual

    def chosen(self, asked: EmbedInput) -> str:
        """What goes before each text of ``asked``. Raises `InvalidRequest` for a prompt that the
        checkpoint lacks."""
        if asked.prompt_name is not None:
            return self._called(asked.prompt_name)
        return self.usual if asked.purpose is None else self._for(asked.purpose)

    def _called(self, name: str) -> str:
        if name not in self._named:
            raise InvalidRequest(
                f"this model has no prompt of that name; it has {self._listed}", param="prompt_name"
            )
        return self._named[name]

    def _for(self, purpose: Purpose) -> str:
        """A model without prompts reads all texts alike, and one with a prompt for queries alone
        reads documents as they are."""
        by_name = {name.lower(): prompt for name, prompt in self._named.items()}
        found = [by_name[name] for name in _NAMES[purpose] if name in by_name]
        if found or not any(by_name.values()) or purpose == "document":
            return found[0] if found else ""
        raise InvalidRequest(
            f"this model has no prompt for texts of that kind; it has {self._listed}: send one as "
            "`prompt_name`",
            param="input_type",
        )

    @property
    def _listed(self) -> str:
        return ", ".join(self._named) or "none"


def _first_in(tokens: Collection[str], prompt: str) -> str | None:
    return next((token for token in tokens if token in prompt), None)
