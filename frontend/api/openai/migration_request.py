"""Whether an answer may go on elsewhere, and behind what it goes on here: a key of our own.

A server that passes a chat on to others asks them for the names of the tokens, which the events of
a stream have. Where one of them is gone amid an answer, another is told the tokens that have come,
and says only what follows.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from frontend.api.fields import Token
from frontend.api.openai.sampling_request import MAX_CHOICES
from frontend.api.validate import Body
from ipc.messages.errors import InvalidRequest

MAX_WRITTEN = 1 << 18
_Ids = Annotated[list[Token], Field(max_length=MAX_WRITTEN)]


class Migration(Body):
    """``written`` has the tokens of each choice that have come; null: of it none has."""

    written: Annotated[list[_Ids | None], Field(max_length=MAX_CHOICES)] = []


class MigrationRequest(Body):
    migration: Migration | None = None

    @property
    def written(self) -> dict[int, list[int]] | None:
        """What is written of each choice that has begun; None where no names are asked for."""
        if self.migration is None:
            return None
        return {at: ids for at, ids in enumerate(self.migration.written) if ids is not None}

    def check_migration(self, choices: int) -> None:
        """Raise `InvalidRequest` where more answers are written than are asked for."""
        if self.migration is not None and len(self.migration.written) > choices:
            raise InvalidRequest(
                f"`migration.written` has more answers than the {choices} that are asked for",
                param="migration",
            )
