"""Words invented where nobody speaks, and words that the guards against them lose.

    python -P -m tests.bench.sound.guards MODEL_FOLDER VOICE_FOLDER
        [--small] [--music FOLDER] [--rows FILE]

Hears noises, music where a folder of it is given, short words, repeats, and readings with noise
behind them, each piece once with no guard; noises, repeats and readings once more in a way that
makes a model loop: behind a text that loops, and tried once. Then it asks the rules of
`worker/hearing/guards.py`, and others with bounds around theirs: the best on one half of the sounds
is told with what it does on the other. ``--small`` takes one reader, noises of 5 s, and recordings
with one noise behind them. ``--rows`` keeps what was heard, which is not heard again.
"""

from __future__ import annotations

import argparse
import zlib
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import NamedTuple

import jiwer
import msgspec
import numpy as np

from bench.words import spoken
from ipc.messages.spec import Spec
from tests.bench.sound.noises import KINDS, LOUD, mixed, noise
from tests.bench.sound.readings import READERS, aloud, paragraphs_read, speaker_of
from tests.bench.sound.recorded import recordings
from worker.audio import decode
from worker.audio.cut import Cutter, Piece, Rules, Voice
from worker.audio.decode import SAMPLE_RATE_HZ, Samples
from worker.engines.whisper.ctranslate2_speech import WhisperSpeech
from worker.hearing import guards
from worker.hearing.guards import Bounds, guarded
from worker.hearing.loops import longest_loop
from worker.hearing.model import Heard, Manner
from worker.hearing.voice import VoiceFinder

NOISE_S = (5.0, 28.0)
RATIOS_DB = (10.0, 0.0)
SHORT = (
    *("Yes.", "No.", "Thank you.", "Thanks for watching!", "Okay.", "Bye.", "Hello?", "Stop!"),
    *("Thank you very much.", "I don't know.", "Please subscribe.", "Good night."),
)
CHORUS = "Row, row, row your boat, gently down the stream."
REPEATS = (
    *("No, no, no, no, no, no, no!", "Ha, ha, ha, ha, ha, ha.", f"{CHORUS} {CHORUS} {CHORUS}"),
    "We will rock you. We will rock you. We will rock you. We will rock you.",
    *(
        "Thank you. " * 6,
        "Yes. " * 10,
        "It is very, very, very, very, very, very, very, very good.",
    ),
    *("Zero, zero, zero, zero, zero, zero, zero, zero, zero, one.", "We want more! " * 12),
    "One, two, three, four. One, two, three, four. One, two, three, four. One, two, three, four.",
)
# A text before a piece that has a model go on in it.
LOOPING = "Thank you. " * 30
# What each bound is tried at: no speech, improbable, silent, a phrase's voice and probability.
GRID = ((0.5, 0.6, 0.7), (-1.3, -1.5, -1.7), (0.2, 0.3, 0.4), (0.7, 0.8, 0.9), (-0.5, -0.7, -0.9))
_PAUSE = np.zeros(SAMPLE_RATE_HZ // 2, np.float32)


class Item(NamedTuple):
    """A sound of some ``kind``, and what is ``said`` in it."""

    name: str
    kind: str
    samples: Samples
    said: str


class Row(msgspec.Struct):
    """All pieces of an item, as they were heard with or without the filter for voices."""

    name: str
    kind: str
    said: str
    seconds: float
    vad: bool
    heard: list[Heard]
    voices: list[Voice]
    pieces_s: list[float]

    def text(self, bounds: Bounds | None) -> str:
        """What is left of it by the rules with these ``bounds``; None: with no rule."""
        if bounds is None:
            return " ".join(heard.text for heard in self.heard)
        return " ".join(self._left(at, bounds).text for at in range(len(self.heard)))

    @property
    def rules(self) -> list[str]:
        """By which something of it is left out."""
        found = (self._guarded(at, guards.BOUNDS)[1] for at in range(len(self.heard)))
        return [rule for rule in found if rule is not None]

    @property
    def loops(self) -> bool:
        """Whether a text of it repeats itself so often that it may be a loop."""
        return any(longest_loop(spoken(heard.text)) is not None for heard in self.heard)

    def _left(self, at: int, bounds: Bounds) -> Heard:
        return self._guarded(at, bounds)[0]

    def _guarded(self, at: int, bounds: Bounds) -> tuple[Heard, str | None]:
        size = round(self.pieces_s[at] * SAMPLE_RATE_HZ)
        samples = np.broadcast_to(np.float32(0), size)
        piece = Piece(samples, [], [], self.voices[at])
        return guarded(self.heard[at], piece, voice_only=self.vad, bounds=bounds)

    @property
    def is_first_half(self) -> bool:
        return zlib.crc32(self.name.encode()) % 2 == 0


def items(voice: Spec, music: Path | None, *, small: bool) -> Iterator[Item]:
    reader = speaker_of(voice)
    readers = range(1 if small else 2)
    for number, text in product(readers, SHORT):
        said = np.concatenate([_PAUSE, aloud(text, READERS[number], reader), _PAUSE])
        yield Item(f"{text} {number}", "a word or two", said, text)
    for number, text in product(readers, REPEATS):
        yield Item(f"{text} {number}", "repeats", aloud(text, READERS[number], reader), text)
    for kind, seconds in product(KINDS, NOISE_S[:1] if small else NOISE_S):
        yield Item(f"{kind} {seconds:.0f}", "noise", noise(kind, seconds, LOUD), "")
    for file in sorted(music.iterdir()) if music else ():
        samples = decode.decode(file.read_bytes())[: 30 * SAMPLE_RATE_HZ]
        yield Item(file.stem, "music", samples, "")
    behind = ("tune",) if small else ("pink", "tune", "breath")
    for one in [*recordings(print), *([] if small else paragraphs_read(2, voice, print))]:
        clean = decode.decode(one.path.read_bytes())
        yield Item(one.path.stem, "reading", clean, one.text)
        for kind, ratio_db in product(behind, RATIOS_DB):
            sound = mixed(clean, noise(kind, 10.0, 1.0), ratio_db)
            yield Item(f"{one.path.stem} {kind}", f"reading, {ratio_db:.0f} dB", sound, one.text)


Key = tuple[str, str, bool]


def hear(folder: Path, found: Iterator[Item], heard: Container[Key]) -> Iterator[Row]:
    """What was not ``heard`` yet."""
    engine = WhisperSpeech()
    spec = Spec(name="guards", task="speech", engine="ctranslate2", path=str(folder))
    engine.load(spec, lambda _: None)
    model = engine._model
    assert model is not None

    def hear_one(item: Item, vad: bool, manner: Manner) -> Row:
        pieces = _pieces(item.samples, vad=vad)
        return Row(
            item.name,
            _kind(item, manner),
            item.said,
            item.samples.size / SAMPLE_RATE_HZ,
            vad,
            [one for piece in pieces for one in model.hear([piece], manner, lambda _: True)],
            [piece.voice for piece in pieces],
            [piece.seconds for piece in pieces],
        )

    asked = [
        (item, vad, manner)
        for item in found
        for vad in ((True,) if item.said else (True, False))
        for manner in _manners(item)
        if (item.name, _kind(item, manner), vad) not in heard
    ]
    with ThreadPoolExecutor(model.workers) as pool:
        yield from pool.map(lambda one: hear_one(*one), asked)


def _kind(item: Item, manner: Manner) -> str:
    return f"{item.kind}, led into a loop" if manner.prompt else item.kind


def _manners(item: Item) -> Iterator[Manner]:
    yield Manner("en")
    if item.kind in ("noise", "repeats", "reading"):
        yield Manner("en", prompt=LOOPING, quick=True)


def _pieces(samples: Samples, *, vad: bool) -> list[Piece]:
    finder, cutter = VoiceFinder(), Cutter(Rules(voice_only=vad))
    frames = [*finder.push(samples), *finder.close()]
    return [*cutter.push(frames), *cutter.close()]


def invented(rows: Sequence[Row], bounds: Bounds | None) -> float:
    """Words a minute of what is no speech."""
    minutes = sum(row.seconds for row in rows if not row.said) / 60
    words = sum(len(spoken(row.text(bounds))) for row in rows if not row.said)
    return words / minutes if minutes else 0.0


def errors(rows: Sequence[Row], bounds: Bounds | None) -> float:
    """Wrong words of 100 that were said."""
    said = [row for row in rows if row.said]
    if not said:
        return 0.0
    return 100 * jiwer.wer(
        [" ".join(spoken(row.said)) for row in said],
        [" ".join(spoken(row.text(bounds))) for row in said],
    )


def table(rows: Sequence[Row]) -> str:
    lines = [
        "| sounds | vad | how many | may loop | no guard | guards | by which |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind, vad in dict.fromkeys((row.kind, row.vad) for row in rows):
        some = [row for row in rows if (row.kind, row.vad) == (kind, vad)]
        measure = errors if some[0].said else invented
        before, after = measure(some, None), measure(some, guards.BOUNDS)
        rules = Counter(rule for row in some for rule in row.rules)
        told = ", ".join(f"{count} {rule}" for rule, count in rules.most_common())
        lines.append(
            f"| {kind} | {'on' if vad else 'off'} | {len(some)} | {sum(row.loops for row in some)} "
            f"| {before:.1f} | {after:.1f} | {told} |"
        )
    return "\n".join(lines)


def sweep(rows: Sequence[Row]) -> str:
    """The bounds that invent least on one half among those that lose least, and the other half."""
    one = [row for row in rows if row.is_first_half]
    other = [row for row in rows if not row.is_first_half]
    tried = [Bounds(*values) for values in product(*GRID)]
    best = min(tried, key=lambda bounds: (round(errors(one, bounds), 1), invented(one, bounds)))
    told = [f"best of {len(tried)}: {best}"]
    for name, bounds in (("no guard", None), ("as served", guards.BOUNDS), ("best", best)):
        told.append(
            f"{name}: wrong of 100 {errors(one, bounds):.2f} and {errors(other, bounds):.2f}, "
            f"invented a minute {invented(one, bounds):.2f} and {invented(other, bounds):.2f}"
        )
    return "\n".join(told)


def main() -> None:
    asked = argparse.ArgumentParser(description="words invented, and words that guards lose")
    asked.add_argument("model", type=Path)
    asked.add_argument("voice", type=Path)
    asked.add_argument("--music", type=Path)
    asked.add_argument("--small", action="store_true")
    asked.add_argument("--rows", type=Path, default=Path("guards.jsonl"))
    given = asked.parse_args()
    given.rows.touch()
    lines = given.rows.read_bytes().splitlines()
    rows = [msgspec.json.decode(line, type=Row) for line in lines]
    voice = Spec(name="hibari", task="speak", engine="hibari", path=str(given.voice))
    heard = {(row.name, row.kind, row.vad) for row in rows}
    with given.rows.open("ab", buffering=0) as kept:
        for row in hear(given.model, items(voice, given.music, small=given.small), heard):
            rows.append(row)
            kept.write(msgspec.json.encode(row) + b"\n")
    print(table(rows), sweep(rows), sep="\n\n")


if __name__ == "__main__":
    main()
