"""Embeddings as a task: texts to token ids before the encoder, vectors to answers after it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from ipc.engines import EmbedOptions
from ipc.messages.blob import Blob
from ipc.messages.errors import ContextTooLong, InternalError, InvalidRequest
from ipc.messages.events import EmbedResult, Usage
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.spec import Loaded, Spec
from worker.engine import LoadError
from worker.engines.common.plain_text import control_tokens, open_tokenizer
from worker.engines.encoders.encoder import Array, Place, TextModel
from worker.engines.encoders.sentence import Checkpoint, read_checkpoint
from worker.engines.encoders.tokens import MAX_CHARACTERS_PER_TOKEN, mask, packed, padded
from worker.engines.encoders.truncation import (
    clipped,
    cut_length,
    cuts_by_default,
    set_truncation,
    too_long,
)

Tokens = list[int]
Vector = NDArray[np.float32]


class TextEmbedding(TextModel[Checkpoint, EmbedOptions, Tokens]):
    """Cuts jobs into token lists and joins vectors into results."""

    options = EmbedOptions
    read = staticmethod(read_checkpoint)

    def open(self, spec: Spec, options: EmbedOptions, checkpoint: Checkpoint) -> None:
        self._checkpoint = checkpoint
        most = checkpoint.max_tokens
        self._max_tokens = min(most, spec.max_prompt_tokens or most)
        self._cuts = cuts_by_default(options.truncate, checkpoint.max_tokens)
        self._widths = _widths(options.matryoshka, checkpoint.dimensions)
        self._tokenizer = open_tokenizer(checkpoint.tokenizer)
        self._prompt = _prompt(options.prompt_name, checkpoint)
        _check_prompt(self._prompt, control_tokens(self._tokenizer).values())

    def loaded(self, place: Place) -> Loaded:
        checkpoint = self._checkpoint
        pooling = "+".join(checkpoint.pooling)
        longer = "cut" if self._cuts else "refused"
        return Loaded(
            device=place.device,
            context_tokens=self._max_tokens,
            dimensions=checkpoint.dimensions,
            detail=f"{pooling} pooling, {checkpoint.similarity} similarity, longer texts "
            f"{longer}, {place.precision}",
        )

    def split(self, job: Job) -> list[Tokens]:
        if not isinstance(job.input, EmbedInput) or not job.input.texts:
            raise InvalidRequest("an embedding request needs at least one text", param="input")
        self._width(job.input)
        asked = job.input.truncation
        cut_to = cut_length(asked, self._cuts, self._max_tokens)
        set_truncation(self._tokenizer, cut_to, asked.side, pairs=False)
        texts = [
            self._fit(index, text, cut_to, asked.side) for index, text in enumerate(job.input.texts)
        ]
        encodings = self._tokenizer.encode_batch_fast(texts)
        # A text may come to no token at all; the model still needs one to look at.
        items = [encoding.ids or [self._checkpoint.pad_token] for encoding in encodings]
        for index, ids in enumerate(items):
            if len(ids) > self._max_tokens:
                raise self._too_long(index, f"{len(ids)} tokens")
        return items

    def size(self, item: Tokens) -> int:
        return len(item)

    def key(self, item: Tokens) -> bytes:
        return packed(item)

    def join(self, job: Job, items: Sequence[Tokens], outputs: Sequence[Vector]) -> EmbedResult:
        assert isinstance(job.input, EmbedInput)
        width = self._width(job.input)
        rows = np.stack(outputs)[:, :width]
        if width < self._checkpoint.dimensions:
            rows = rows / np.linalg.norm(rows, axis=1, keepdims=True).clip(min=1e-12)
        if not np.isfinite(rows).all():
            raise InternalError("the model made a vector that is not finite")
        return EmbedResult(
            vectors=Blob(np.ascontiguousarray(rows, dtype="<f4").tobytes()),
            count=len(rows),
            dimensions=width,
            usage=Usage(prompt_tokens=sum(map(len, items))),
        )

    def pad(self, items: Sequence[Tokens]) -> tuple[Array, Array]:
        """Token ids and attention mask."""
        return padded(items, self._checkpoint.pad_token), mask(items)

    def _fit(self, index: int, text: str, cut_to: int | None, side: str) -> str:
        """The text as it goes to the tokenizer."""
        longest = self._max_tokens * MAX_CHARACTERS_PER_TOKEN
        if len(text) > longest and cut_to is None:
            raise self._too_long(index, f"{len(text)} characters, which are more")
        text = self._prompt + clipped(text, longest, side)
        return text.lower() if self._checkpoint.lower_case else text

    def _too_long(self, index: int, length: str) -> ContextTooLong:
        return too_long(f"input {index} has {length}", self._max_tokens, "input")

    def _width(self, request: EmbedInput) -> int:
        """How many dimensions to answer with. Raises `InvalidRequest` for what is not allowed."""
        native = self._checkpoint.dimensions
        width = native if request.dimensions is None else request.dimensions
        if width not in self._widths:
            cut = len(self._widths) > 1
            allowed = _listed(self._widths) if cut else f"{native}, as it cannot be cut short"
            raise InvalidRequest(
                f"this model makes vectors of dimensions {allowed}; {width} was asked for",
                param="dimensions",
            )
        return width


def _prompt(name: str | None, checkpoint: Checkpoint) -> str:
    if name is None:
        return checkpoint.prompt
    if name not in checkpoint.prompts:
        known = ", ".join(checkpoint.prompts) or "none"
        raise LoadError(f"option prompt_name={name!r} is not among the checkpoint's: {known}")
    return checkpoint.prompts[name]


def _check_prompt(prompt: str, control: Iterable[str]) -> None:
    """The prompt is read together with a client's text, and so as plain text."""
    found = [token for token in control if token in prompt]
    if found:
        raise LoadError(f"the checkpoint's prompt has the control token {found[0]}, not served")


def _widths(allowed: bool | int | str, native: int) -> Sequence[int]:
    """The sizes that a vector may have, the checkpoint's ``native`` one among them."""
    if isinstance(allowed, bool):
        return range(1 if allowed else native, native + 1)
    sizes = {int(size) for size in str(allowed).split(",")}
    if max(sizes) > native:
        raise LoadError(f"option matryoshka={allowed!r} must be true, or sizes up to {native}")
    return sorted(sizes | {native})


def _listed(widths: Sequence[int]) -> str:
    if isinstance(widths, range):
        return f"{widths[0]} to {widths[-1]}"
    return ", ".join(map(str, widths))
