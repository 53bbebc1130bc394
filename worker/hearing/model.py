"""What a speech engine is made of: a model that hears pieces of recordings, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from worker.audio.cut import Piece
from worker.hearing.words import Said

# openai/whisper's: what is more repetitive or less probable is doubtful, and what is improbable
# where nobody seems to speak is none.
MAX_COMPRESSION, MIN_LOGPROB, NO_SPEECH = 2.4, -1.0, 0.6
# And its ladder: what is doubtful is tried again hotter, one of these after the other.
HOTTER = (0.2, 0.4, 0.6, 0.8, 1.0)
# More tokens than anybody says: a hopeless piece climbs the whole ladder with so many a rung.
_FEWEST_TOKENS, _TOKENS_A_SECOND = 20, 15
# Of Whisper half the context, as in openai/whisper, less the control tokens: the other half is the
# prompt's.
WHISPERS_TOKENS = 220

# What a request may ask for and a model may lack: a text to read before it hears, a translation, a
# temperature, the times of words.
Ability = Literal["prompt", "translation", "temperature", "word times"]
# Whether somebody still waits for the piece of that number in a batch.
Wanted = Callable[[int], bool]


def most_tokens(seconds: float) -> int:
    """How many a model may write of so many ``seconds``, unless its tokens are longer or shorter
    than most."""
    return _FEWEST_TOKENS + round(_TOKENS_A_SECOND * seconds)


class Manner(NamedTuple):
    """How a piece is to be heard: only those that are to be heard alike share a batch. One that is
    ``live`` is waited for, so a model that may look at no more than it needs does. A ``quick`` one
    is a look at what is still being said: it is heard once, with the least search."""

    language: str | None
    translate: bool = False
    prompt: str | None = None
    temperature: float | None = None
    times: bool = False
    live: bool = False
    quick: bool = False


class Traits(NamedTuple):
    """What a model ``lacks`` is refused. One that ``finds_language`` is told that of the first
    piece with speech in it for all behind it; those that do not either know a single one, or hear
    each piece in its own. What is said apart ``shares_pieces`` where a piece costs the same however
    short it is; where it does not, a piece is what is said in a row, so that its times are right
    without words.
    """

    lacks: frozenset[Ability] = frozenset()
    finds_language: bool = True
    shares_pieces: bool = True


class Heard(NamedTuple):
    """``words`` have their times in the piece, in seconds; there are none unless they were asked
    for. Without ``text`` nobody spoke. ``language`` is None where the model does not tell. What
    ``is_unended`` was broken off, since it had as many tokens as a piece may have."""

    language: str | None
    text: str
    tokens: list[int]
    words: list[Said]
    temperature: float
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float
    is_unended: bool = False

    @property
    def merit(self) -> tuple[bool, float]:
        """The greater, the better of two that were heard in one piece and are both doubtful."""
        return self.compression_ratio <= MAX_COMPRESSION, self.avg_logprob

    @property
    def is_doubtful(self) -> bool:
        if self.is_silence:
            return False
        return self.compression_ratio > MAX_COMPRESSION or self.avg_logprob < MIN_LOGPROB

    def silenced(self) -> Heard:
        """The same with nothing said."""
        return self._replace(text="", tokens=[], words=[])

    @property
    def is_silence(self) -> bool:
        return self.no_speech_prob > NO_SPEECH and self.avg_logprob < MIN_LOGPROB


class Model(Protocol):
    """``workers`` threads may use it at once, each for up to ``batch`` pieces. ``languages`` are
    codes, none where nobody knows; of one that knows a single language nobody asks for another.
    ``max_tokens`` is how much text it can have before it, None where there is no such limit, and
    ``detail`` what of it /health tells."""

    workers: int
    batch: int
    device: str
    languages: list[str]
    max_tokens: int | None
    detail: str
    traits: Traits

    def hear(self, pieces: Sequence[Piece], manner: Manner, wanted: Wanted) -> list[Heard]:
        """The words of each of ``pieces``, of which there is only one where its language is to be
        found. Of one that is no longer ``wanted`` it does not matter what is heard. Raises a
        `ServeError` that ends the jobs of these pieces."""
        ...
