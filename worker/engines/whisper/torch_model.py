"""Whisper's computations by torch, asked for as CTranslate2's are.

faster-whisper's search (windows, prompts, the ladder of temperatures, the times of words) calls
four methods of a CTranslate2 model. `TorchWhisper` has these four, of a model of transformers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList
from transformers.generation.logits_process import (
    SuppressTokensAtBeginLogitsProcessor,
    SuppressTokensLogitsProcessor,
    WhisperTimeStampLogitsProcessor,
)
from transformers.models.whisper.generation_whisper import _dynamic_time_warping, _median_filter

from ipc.facts.languages import NAMES
from ipc.messages.errors import OutOfMemory
from worker.engine import LoadError

Rules = Callable[[Any, Tensor], Tensor]

# A vocabulary for English alone has one token less (openai/whisper, model.py).
_MULTILINGUAL_VOCABULARY = 51_865


class Hypothesis(NamedTuple):
    """The likeliest words of a window as tokens, their mean log probability, and how likely nobody
    speaks. Lists of one entry each, as CTranslate2 gives them."""

    sequences_ids: list[list[int]]
    scores: list[float]
    no_speech_prob: float


class Alignment(NamedTuple):
    """Which token is said in which 20 ms, as pairs in order, and how likely each token was."""

    alignments: list[tuple[int, int]]
    text_token_probs: list[float]


@contextmanager
def _computing() -> Iterator[None]:
    try:
        with torch.inference_mode():
            yield
    except torch.OutOfMemoryError as error:
        torch.cuda.empty_cache()
        raise OutOfMemory("the device has no memory left; try again later") from error


class TorchWhisper:
    """``model`` is a `WhisperForConditionalGeneration`; ``tokenizer`` knows its special tokens.

    Its methods raise `OutOfMemory`.
    """

    def __init__(self, model: Any, tokenizer: Tokenizer) -> None:
        """Raises `LoadError`."""
        self.is_multilingual = model.config.vocab_size >= _MULTILINGUAL_VOCABULARY
        self.device = str(model.device)
        self._model = model
        self._start = _mark(tokenizer, "<|startoftranscript|>")
        self._end = _mark(tokenizer, "<|endoftext|>")
        self._no_timestamps = _mark(tokenizer, "<|notimestamps|>")
        self._blanks = tokenizer.encode(" ", add_special_tokens=False).ids
        self._no_speech = self._no_timestamps - 1  # it has had two names, but always this place
        ids = {f"<|{code}|>": tokenizer.token_to_id(f"<|{code}|>") for code in NAMES}
        self._languages = {name: at for name, at in ids.items() if at is not None}
        self._heads = _alignment_heads(model)

    @_computing()
    def encode(self, features: npt.NDArray[np.float32]) -> Tensor:
        """The features of a piece, (mels, frames), or of several, (pieces, mels, frames), as the
        decoder reads them, (pieces, positions, width)."""
        several = features if features.ndim == 3 else features[np.newaxis]
        heard = torch.from_numpy(several).to(self._model.device, self._model.dtype)
        encoded: Tensor = self._model.get_encoder()(heard).last_hidden_state
        return encoded

    @_computing()
    def detect_language(self, encoded: Tensor) -> list[list[tuple[str, float]]]:
        """The languages that a window may be in, as tokens, the likeliest first."""
        logits = self._decode(encoded, self._rows([self._start])).logits[0, -1]
        chances = logits[list(self._languages.values())].float().softmax(0).tolist()
        named = zip(self._languages, chances, strict=True)
        return [sorted(named, key=lambda language: -language[1])]

    @_computing()
    def generate(
        self,
        encoded: Tensor,
        prompts: Sequence[list[int]],
        *,
        max_length: int,
        suppress_tokens: Sequence[int],
        max_initial_timestamp_index: int = 50,
        num_hypotheses: int = 1,
        sampling_temperature: float = 0.0,
        **_: object,
    ) -> list[Hypothesis]:
        """What follows the one prompt: the likeliest token each time, or the best of so many draws.
        What else CTranslate2 can be asked for changes neither."""
        (prompt,) = prompts
        rules = self._rules(prompt, suppress_tokens, max_initial_timestamp_index)
        rows = self._rows(prompt)
        read = self._decode(encoded, rows)
        start = read.logits[0, prompt.index(self._start)].float()
        rows, means = self._continue(
            encoded,
            rows.repeat(num_hypotheses, 1),
            read,
            rules,
            max_length=max_length,
            temperature=sampling_temperature,
        )
        best = int(means.argmax())
        tokens = rows[best, len(prompt) :].tolist()
        words = tokens[: tokens.index(self._end)] if self._end in tokens else tokens
        silence = start.softmax(0)[self._no_speech].item()
        return [Hypothesis([words], [means[best].item()], silence)]

    @_computing()
    def align(
        self,
        encoded: Tensor,
        start_sequence: list[int],
        text_tokens: Sequence[list[int]],
        num_frames: Sequence[int],
        *,
        median_filter_width: int,
    ) -> list[Alignment]:
        """When the tokens of each text are said, found as openai/whisper does (timing.py): where
        the heads that follow the sound look while the text is read."""
        (frames,) = num_frames
        positions = max(1, frames // 2)
        self._model.set_attn_implementation("eager")  # the only one that shows where it looks
        try:
            return [
                self._align(encoded, start_sequence, text, positions, median_filter_width)
                for text in text_tokens
            ]
        finally:
            self._model.set_attn_implementation("sdpa")

    def _align(
        self, encoded: Tensor, start: list[int], text: list[int], positions: int, width: int
    ) -> Alignment:
        tokens = self._rows([*start, self._no_timestamps, *text, self._end])
        read = self._decode(encoded, tokens, use_cache=False, output_attentions=True)
        looks = torch.stack([read.cross_attentions[layer][0, head] for layer, head in self._heads])
        looks = looks[..., :positions].float()
        looks = looks / looks.sum(-1, keepdim=True)
        looks = (looks - looks.mean(-2, keepdim=True)) / looks.std(-2, keepdim=True, unbiased=False)
        matrix = _median_filter(looks, width).mean(0)[len(start) : -1]
        steps = zip(*_dynamic_time_warping(-matrix.cpu().double().numpy()), strict=True)
        chances = read.logits[0, len(start) : -2, : self._end].float().softmax(-1)
        chance = chances.gather(-1, self._rows(text).T)[:, 0]
        return Alignment([(int(token), int(at)) for token, at in steps], chance.tolist())

    def _continue(
        self,
        encoded: Tensor,
        rows: Tensor,
        read: Any,
        rules: Rules,
        *,
        max_length: int,
        temperature: float,
    ) -> tuple[Tensor, Tensor]:
        """Continue each of ``rows``, which are alike and were ``read`` once. Returns them whole,
        and the mean log probability of what came, ends included but not counted."""
        cache = read.past_key_values
        cache.batch_repeat_interleave(len(rows))
        logits = read.logits[:, -1].repeat(len(rows), 1)
        total = torch.zeros(len(rows), device=rows.device)
        count = torch.zeros_like(total)
        ended = torch.zeros_like(total, dtype=torch.bool)
        while True:
            scores = rules(rows, logits.float())
            chosen = _pick(scores, temperature).masked_fill(ended, self._end)
            gained = scores.log_softmax(-1).gather(1, chosen[:, None])[:, 0]
            total += gained.masked_fill(ended, 0.0)
            ended |= chosen == self._end
            count += ~ended
            rows = torch.cat([rows, chosen[:, None]], dim=1)
            if rows.shape[1] >= max_length or ended.all():
                return rows, total / count.clamp(min=1)
            logits = self._decode(encoded, chosen[:, None], past_key_values=cache).logits[:, -1]

    def _decode(self, encoded: Tensor, tokens: Tensor, **more: Any) -> Any:
        asked = {"use_cache": True, **more}
        return self._model(encoder_outputs=(encoded,), decoder_input_ids=tokens, **asked)

    def _rows(self, tokens: Sequence[int]) -> Tensor:
        return torch.tensor([tokens], device=self._model.device)

    def _rules(
        self, prompt: Sequence[int], suppressed: Sequence[int], max_initial_timestamp: int
    ) -> Rules:
        """What may follow a ``prompt``: no tokens of control but the end; times, unless the prompt
        asks for none, in pairs and never back. What begins with a time cannot begin with a blank;
        what does not, begins with neither a blank nor the end."""
        found = LogitsProcessorList(
            [SuppressTokensLogitsProcessor(list(suppressed), device=self.device)]
        )
        if self._no_timestamps in prompt:
            blanks = [*self._blanks, self._end]
            found.append(
                SuppressTokensAtBeginLogitsProcessor(blanks, len(prompt), device=self.device)
            )
            times = range(self._no_timestamps + 1, self._model.config.vocab_size)
            found.append(SuppressTokensLogitsProcessor(list(times), device=self.device))
            return found
        marks = GenerationConfig(  # type: ignore[no-untyped-call]
            eos_token_id=self._end,
            no_timestamps_token_id=self._no_timestamps,
            max_initial_timestamp_index=max_initial_timestamp,
        )
        found.append(WhisperTimeStampLogitsProcessor(marks, begin_index=len(prompt)))
        return found


def _mark(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise LoadError(f"the tokenizer lacks {token}: it is not one of Whisper")
    return found


def _pick(scores: Tensor, temperature: float) -> Tensor:
    if temperature == 0:
        return scores.argmax(-1)
    return torch.multinomial((scores / temperature).softmax(-1), 1)[:, 0]


def _alignment_heads(model: Any) -> list[tuple[int, int]]:
    """The heads of cross-attention that follow the sound: those that the checkpoint names, else
    all in the upper half of the layers, as in openai/whisper and CTranslate2's conversions."""
    named = getattr(model.generation_config, "alignment_heads", None)
    if named:
        return [(layer, head) for layer, head in named]
    layers, heads = model.config.decoder_layers, model.config.decoder_attention_heads
    return list(product(range(layers // 2, layers), range(heads)))
