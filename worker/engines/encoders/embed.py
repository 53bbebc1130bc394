"""Embeddings as a task: texts to token ids before the encoder, vectors to answers after it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ipc.engine_options import EmbedOptions
from ipc.messages.blob import Blob
from ipc.messages.errors import ContextTooLong, InternalError, InvalidRequest
from ipc.messages.events import EmbedResult, Usage
from ipc.messages.jobs import EmbedInput, Job
from ipc.messages.spec import Loaded, Spec
from worker.engine import LoadError
from worker.engines.common.plain_text import control_tokens, open_tokenizer
from worker.engines.encoders.encoder import Array, Place, TextModel
from worker.engines.encoders.prompts import Prompts
from worker.engines.encoders.sentence import Checkpoint, read_checkpoint
from worker.engines.encoders.token_input import cl100k_text, native_ids, rejected
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
        usual = _usual(options.prompt_name, checkpoint)
        control = control_tokens(self._tokenizer).values()
        self._prompts = Prompts(checkpoint.prompts, usual, control)
        self._token_input = options.token_input

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
        if not isinstance(job.input, EmbedInput) or not job.input.count:
            raise InvalidRequest("an embedding request needs at least one text", param="input")
        asked = job.input
        self._width(asked)
        cut_to = cut_length(asked.truncation, self._cuts, self._max_tokens)
        if asked.tokens and self._token_input == "native":
            items = self._given_ids(asked.tokens, cut_to, asked.truncation.side)
        else:
            items = self._ids_of_texts(asked, cut_to)
        for index, ids in enumerate(items):
            if len(ids) > self._max_tokens:
                raise self._too_long(index, f"{len(ids)} tokens")
        return items

    def _given_ids(self, given: list[Tokens], cut_to: int | None, side: str) -> list[Tokens]:
        """The model's own tokens, special ones included, as the client has them."""
        vocabulary = self._tokenizer.get_vocab_size()
        items = [native_ids(ids, index, vocabulary) for index, ids in enumerate(given)]
        if cut_to is None:
            return items
        return [ids[-cut_to:] if side == "left" else ids[:cut_to] for ids in items]

    def _ids_of_texts(self, asked: EmbedInput, cut_to: int | None) -> list[Tokens]:
        prompt, side = self._prompts.chosen(asked), asked.truncation.side
        set_truncation(self._tokenizer, cut_to, side, pairs=False)
        texts = [
            self._fit(index, text, prompt, cut_to, side)
            for index, text in enumerate(self._texts(asked))
        ]
        # A text may come to no token at all; the model still needs one to look at.
        encodings = self._tokenizer.encode_batch_fast(texts)
        return [encoding.ids or [self._checkpoint.pad_token] for encoding in encodings]

    def _texts(self, asked: EmbedInput) -> list[str]:
        if not asked.tokens:
            return asked.texts
        if self._token_input == "reject":
            raise rejected()
        return [cl100k_text(ids, index) for index, ids in enumerate(asked.tokens)]

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

    def _fit(self, index: int, text: str, prompt: str, cut_to: int | None, side: str) -> str:
        """The text as it goes to the tokenizer."""
        longest = self._max_tokens * MAX_CHARACTERS_PER_TOKEN
        if len(text) > longest and cut_to is None:
            raise self._too_long(index, f"{len(text)} characters, which are more")
        text = prompt + clipped(text, longest, side)
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


def _usual(name: str | None, checkpoint: Checkpoint) -> str:
    """The prompt of requests that say nothing of it."""
    if name is None:
        return checkpoint.prompt
    if name not in checkpoint.prompts:
        known = ", ".join(checkpoint.prompts) or "none"
        raise LoadError(f"option prompt_name={name!r} is not among the checkpoint's: {known}")
    return checkpoint.prompts[name]


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
