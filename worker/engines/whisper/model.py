"""What a Whisper model hears in pieces of recordings, several at once, whatever library has it.

A piece is at most as long as what Whisper reads at once and begins and ends where nobody speaks, so
it is asked for words alone and not for times: those of its own end early where a sentence seems to
end, and what comes behind them is lost (whisper-base, a piece at a time, on half a minute with
pauses between sentences: 12 wrong words of 100 with times, 1.6 without). Nor does it read what was
said before, which it takes for done (14.9 wrong words of 100, and 1.8 without).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from faster_whisper import WhisperModel
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import (
    TranscriptionOptions,
    get_compression_ratio,
    get_suppressed_tokens,
)

from ipc.facts.languages import NAMES
from worker.audio import decode
from worker.audio.cut import Piece, middle
from worker.engines.whisper.skipped import fuller, says_too_little
from worker.hearing.model import (
    HOTTER,
    MAX_COMPRESSION,
    MIN_LOGPROB,
    NO_SPEECH,
    WHISPERS_TOKENS,
    Heard,
    Manner,
    Traits,
    Wanted,
    most_tokens,
)
from worker.hearing.words import APPENDED, PREPENDED, said

# What Whisper was trained to read: half a minute. A sentence in a window of 10 s has the same words
# (9 clips, 157 words: 12.1 wrong of 100, and 11.5 in half a minute; they differ in one), for a
# seventh of the encoder's time.
WINDOW = 3000
_FRAMES_A_SECOND, _SILENCE_S = 100, 1.0


Features = npt.NDArray[np.float32]


class Whisper:
    """``search`` is faster-whisper's, over a model of any library's. ``workers`` threads may use it
    at once, each for up to ``batch`` pieces. Its encoder takes ``windows`` of so many frames of
    10 ms, the shortest first."""

    def __init__(
        self,
        search: WhisperModel,
        *,
        workers: int,
        batch: int,
        beam_size: int,
        detail: str,
        windows: Sequence[int] = (WINDOW,),
    ) -> None:
        self.search = search
        self.workers = workers
        self.batch = batch
        self.beam_size = beam_size
        self.detail = detail
        self.windows = windows
        self.device: str = search.model.device
        self.max_tokens: int | None = search.max_length
        self.languages = self._languages()
        # One of a single language was not trained to translate.
        translates = search.model.is_multilingual
        self.traits = Traits(lacks=frozenset() if translates else frozenset({"translation"}))

    def hear(self, pieces: Sequence[Piece], manner: Manner, wanted: Wanted) -> list[Heard]:
        """The words of each of ``pieces``, of which there is only one where its language is to be
        found. What is no longer ``wanted`` is not tried again."""
        longest_s = max(piece.seconds for piece in pieces)
        window = window_for(longest_s, self.windows) if manner.live else WINDOW
        features = [self._features(piece.samples, window) for piece in pieces]
        states = self.search.encode(np.stack(features))
        language = manner.language or self._language(states)
        tokenizer = self._tokenizer(language, translate=manner.translate)
        options = self._options(tokenizer, manner, longest_s)
        if manner.temperature:
            found = [self._climb(one, tokenizer, options) for one in features]
        else:
            tried = self._first_try(states, len(pieces), tokenizer, options)
            found = [
                first
                if manner.quick or not wanted(at)
                else self._whole(
                    piece, self._retried(one, first, tokenizer, options), tokenizer, options
                )
                for at, (piece, one, first) in enumerate(zip(pieces, features, tried, strict=True))
            ]
        return self._with_words(states, pieces, found, tokenizer) if manner.times else found

    def _features(self, samples: decode.Samples, window: int) -> Features:
        """Log-mel features, shape (mels, ``window``)."""
        # The last frame is of the padding; faster-whisper does not hear it either.
        found: Features = pad_or_trim(self.search.feature_extractor(samples)[:, :-1], window)
        return found

    def _language(self, states: Any) -> str:
        (token, _), *_ = self.search.model.detect_language(states)[0]
        language: str = token[2:-2]
        return language

    def _first_try(
        self, states: Any, count: int, tokenizer: Tokenizer, options: TranscriptionOptions
    ) -> list[Heard]:
        prompt = self._prompt(tokenizer, options)
        results = self.search.model.generate(
            states,
            [prompt] * count,
            beam_size=options.beam_size,
            patience=options.patience,
            max_length=len(prompt) + options.max_new_tokens,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=options.suppress_blank,
            suppress_tokens=options.suppress_tokens,
        )
        return [_heard(result, tokenizer, options) for result in results]

    def _retried(
        self, features: Features, first: Heard, tokenizer: Tokenizer, options: TranscriptionOptions
    ) -> Heard:
        """``first``, or what was found instead if that is doubtful."""
        if not first.is_doubtful:
            return first
        again = self._climb(features, tokenizer, replace(options, temperatures=list(HOTTER)))
        if not again.is_doubtful:
            return again
        return max(first, again, key=lambda one: one.merit)

    def _whole(
        self, piece: Piece, heard: Heard, tokenizer: Tokenizer, options: TranscriptionOptions
    ) -> Heard:
        """``heard``, or what the halves of a piece have if some of it was skipped."""
        if not says_too_little(heard, piece):
            return heard
        at = middle(piece)
        halves = [self._features(half, WINDOW) for half in (piece.samples[:at], piece.samples[at:])]
        states = self.search.encode(np.stack(halves))
        return fuller(heard, self._first_try(states, len(halves), tokenizer, options))

    def _climb(
        self, features: Features, tokenizer: Tokenizer, options: TranscriptionOptions
    ) -> Heard:
        """What comes out at the first temperature at which it is not doubtful."""
        result, _, temperature, _ = self.search.generate_with_fallback(
            self.search.encode(features), self._prompt(tokenizer, options), tokenizer, options
        )
        return _heard(result, tokenizer, options, float(temperature))

    def _with_words(
        self, states: Any, pieces: Sequence[Piece], found: Sequence[Heard], tokenizer: Tokenizer
    ) -> list[Heard]:
        if not any(one.tokens for one in found):
            return list(found)
        # Of the recording there are so many frames of 10 ms: behind them is padding.
        frames = [max(2, round(piece.seconds * self.search.frames_per_second)) for piece in pieces]
        aligned = self.search.find_alignment(
            tokenizer, [one.tokens for one in found], states, frames
        )
        return [
            one._replace(words=said(words, piece.silences) if one.tokens else [])
            for one, words, piece in zip(found, aligned, pieces, strict=True)
        ]

    def _prompt(self, tokenizer: Tokenizer, options: TranscriptionOptions) -> list[int]:
        text = options.initial_prompt
        before = tokenizer.encode(" " + text.strip()) if text else []
        prompt: list[int] = self.search.get_prompt(tokenizer, before, without_timestamps=True)
        return prompt

    def _tokenizer(self, language: str, *, translate: bool) -> Tokenizer:
        return Tokenizer(
            self.search.hf_tokenizer,
            self.search.model.is_multilingual,
            task="translate" if translate else "transcribe",
            language=language,
        )

    def _options(
        self, tokenizer: Tokenizer, manner: Manner, longest_s: float
    ) -> TranscriptionOptions:
        """What `WhisperModel.transcribe` would choose, but for the first block."""
        most = min(WHISPERS_TOKENS, most_tokens(longest_s))
        return TranscriptionOptions(
            initial_prompt=manner.prompt or None,
            temperatures=[manner.temperature] if manner.temperature else [0.0, *HOTTER],
            word_timestamps=manner.times,
            beam_size=1 if manner.quick else self.beam_size,
            # A quick look at what is still being said has half of them: more are a loop, and the
            # next look is waiting.
            max_new_tokens=most // 2 if manner.quick else most,
            condition_on_previous_text=False,
            without_timestamps=True,
            best_of=5,
            patience=1,
            length_penalty=1,
            repetition_penalty=1,
            no_repeat_ngram_size=0,
            log_prob_threshold=MIN_LOGPROB,
            no_speech_threshold=NO_SPEECH,
            compression_ratio_threshold=MAX_COMPRESSION,
            prompt_reset_on_temperature=0.5,
            prefix=None,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizer, [-1]),
            max_initial_timestamp=1.0,
            prepend_punctuations=PREPENDED,
            append_punctuations=APPENDED,
            multilingual=False,
            clip_timestamps="0",
            hallucination_silence_threshold=None,
            hotwords=None,
        )

    def _languages(self) -> list[str]:
        if not self.search.model.is_multilingual:
            return ["en"]
        known = self.search.hf_tokenizer.token_to_id
        return [code for code in NAMES if known(f"<|{code}|>") is not None]


def window_for(seconds: float, windows: Sequence[int]) -> int:
    """The first of ``windows`` that holds so much sound, and the silence that its end is known
    by."""
    frames = round((seconds + _SILENCE_S) * _FRAMES_A_SECOND)
    return next((window for window in windows if frames <= window), WINDOW)


def _heard(
    result: Any, tokenizer: Tokenizer, options: TranscriptionOptions, temperature: float = 0.0
) -> Heard:
    """A result of the model's ``generate``, whose score is the mean over the tokens without the
    end; faster-whisper counts the end."""
    whole = result.sequences_ids[0]
    tokens = [token for token in whole if token < tokenizer.eot]
    text: str = tokenizer.decode(tokens)
    return Heard(
        language=tokenizer.language_code,
        text=text,
        tokens=tokens,
        words=[],
        temperature=temperature,
        avg_logprob=float(result.scores[0] * len(whole) / (len(whole) + 1)),
        compression_ratio=float(get_compression_ratio(text.strip())),
        no_speech_prob=float(result.no_speech_prob),
        is_unended=len(whole) >= options.max_new_tokens,
    )
