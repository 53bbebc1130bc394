"""What a request says of texts that are too long, in the words of several servers."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, Tag

from frontend.api.fields import WHOLE, NotZero, OneOf, Schema
from frontend.api.validate import Body
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Truncation

MODEL_LIMIT = -1  # vLLM's: as many tokens as the model takes

Direction = Literal["left", "right", "Left", "Right"]


def _flag_or_word(given: object) -> str | None:
    if isinstance(given, str):
        return "<word>"
    return "<flag>" if isinstance(given, bool) else None


# One Literal of all five would take 0.0 for false: Python finds them equal.
Cut = Annotated[
    Annotated[bool, Tag("<flag>")] | Annotated[Literal["NONE", "START", "END"], Tag("<word>")],
    OneOf(_flag_or_word, "must be true, false, 'NONE', 'START' or 'END'"),
]


Tokens = Annotated[
    int,
    Field(ge=MODEL_LIMIT),
    WHOLE,
    NotZero("must be at least 1, or -1 for as many tokens as the model takes"),
]
# What `Truncating.truncation` refuses.
AT_ODDS: Schema = {
    "not": {
        "properties": {
            "truncate": {"enum": [False, "NONE"]},
            "truncate_prompt_tokens": {"type": "integer"},
        },
        "required": ["truncate", "truncate_prompt_tokens"],
    }
}


class Truncating(Body):
    """``truncate`` is Ollama's and TEI's as true or false, Cohere's and NVIDIA's as a word that
    says which end goes; TEI and vLLM say that beside it, each by a name of its own.
    ``truncate_prompt_tokens`` is vLLM's."""

    model_config = ConfigDict(json_schema_extra=AT_ODDS)

    truncate: Cut | None = None
    truncate_prompt_tokens: Tokens | None = None
    truncation_direction: Direction | None = None
    truncation_side: Direction | None = None

    def truncation(self) -> Truncation:
        """The request's wish. Raises `InvalidRequest` where it wishes for nothing that there is."""
        tokens = self.truncate_prompt_tokens
        cut = self.truncate != "NONE" if isinstance(self.truncate, str) else self.truncate
        if cut is False and tokens is not None:
            raise InvalidRequest(
                "`truncate` false and `truncate_prompt_tokens` ask for different things; send one "
                "of them",
                param="truncate",
            )
        return Truncation(
            cut=cut if tokens is None else True,
            tokens=None if tokens == MODEL_LIMIT else tokens,
            side=self._side(),
        )

    def _side(self) -> Literal["left", "right"]:
        said = (self.truncation_direction or self.truncation_side or "right").lower()
        return "left" if self.truncate == "START" or said == "left" else "right"
