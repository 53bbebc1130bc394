"""The answers of the router, described for ``/openapi.json``; rendered without these."""

from __future__ import annotations

from typing import Literal

from frontend.api.answer import Answer
from frontend.api.openai.answers import ModelEntry


class Architecture(Answer):
    input_modalities: list[str]
    output_modalities: list[str]


class LoadedFacts(Answer):
    """What its files do not tell is null."""

    n_ctx: int | None
    n_embd: int | None
    n_params: int | None
    size: int | None


class RouterModel(ModelEntry):
    """``meta`` is null as long as the model has not been loaded."""

    aliases: list[str]
    architecture: Architecture
    meta: LoadedFacts | None


class RouterModels(Answer):
    object: Literal["list"]
    data: list[RouterModel]


class Success(Answer):
    success: Literal[True]


class Slot(Answer):
    """``n_ctx`` is 0 as long as the model has not been loaded."""

    id: int
    n_ctx: int
    is_processing: bool
