"""What the hub says of a repository: its files, its configuration, the beginning of a GGUF file.

All errors are `FetchError`s, as those of a download.
"""

from __future__ import annotations

import json
from typing import Any

from ipc.facts.gguf import first_facts
from supervisor.discovery.reference import Reference
from supervisor.discovery.repository import Repository
from supervisor.models import hub_files
from supervisor.models.archive import FetchError
from supervisor.models.hub_files import Listing

# What is read of a file of JSON, and of the beginning of a GGUF file: its facts stand before its
# vocabulary.
_MOST_JSON_BYTES = 32 << 20
_HEADER_BYTES = 256 << 10
_TEMPLATES = ("chat_template.jinja", "chat_template.json")


class HubClient:
    """The repository that ``reference`` names. Making it asks the hub for its files, and raises
    `FetchError`."""

    def __init__(self, reference: Reference, token: str | None) -> None:
        self._token = token
        self._here: Listing = hub_files.listing(reference.repo, reference.revision, token)
        self._sizes = {file.name: file.size for file in self._here.files}

    def look(self) -> Repository:
        """What it holds. Raises `FetchError`."""
        config = self._json("config.json")
        return Repository(
            repo=self._here.repo,
            files=self._sizes,
            config=config,
            sampling=self._json("generation_config.json"),
            parameters=self._here.parameters,
            has_template=self._has_template(config),
        )

    def gguf_facts(self, file: str) -> dict[str, Any]:
        """The metadata with which a GGUF file begins, its vocabulary left out. Raises
        `FetchError`."""
        try:
            return first_facts(hub_files.beginning(self._here, file, _HEADER_BYTES, self._token))
        except ValueError as error:
            raise FetchError(f"hf:{self._here.repo}: {file}: {error}") from None

    def _has_template(self, config: dict[str, Any]) -> bool:
        if any(name in self._sizes for name in _TEMPLATES):
            return True
        return bool(config) and "chat_template" in self._json("tokenizer_config.json")

    def _json(self, name: str) -> dict[str, Any]:
        """The object in a file; empty where there is none."""
        size = self._sizes.get(name, 0)
        if not 0 < size <= _MOST_JSON_BYTES:
            return {}
        try:
            found = json.loads(hub_files.beginning(self._here, name, size, self._token))
        except ValueError:
            raise FetchError(f"hf:{self._here.repo}: {name} is no JSON") from None
        return found if isinstance(found, dict) else {}
