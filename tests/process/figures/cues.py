"""Whether subtitles are right: ``python -m tests.process.figures.cues FOLDER [ENGINE]``.

Recordings are put at known seconds of a file, each from its first sound to its last, and words said
by espeak-ng likewise. What is told is how far the cues, and the words, of a served model begin and
end from there.
"""

from __future__ import annotations

import io
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import numpy.typing as npt

from ipc.facts.samples import wav
from tests.process.box import Box, boxes, spec
from tests.recordings import FOLDER
from worker.audio import decode
from worker.audio.decode import SAMPLE_RATE_HZ, Samples

NAME = "measured/speech"
GAPS_S = (4.0, 1.0, 0.7, 2.5, 7.0, 12.0, 1.5, 3.0)
FILES = (
    "jfk.wav",
    *(f"sense_and_sensibility_01_austen_64kb-0{number}.wav" for number in (870, 880, 890, 930)),
)
WORDS = "mountain kitchen seven letter garden window yellow captain paper island music forest"
WORD_GAPS_S = (0.3, 0.6, 1.2, 0.4)
# Of the loudest, what is said: -26 dB, in frames of 10 ms. Below are breath and the room.
_QUIET, _FRAME = 0.05, 160
_LATE_S = 5.0  # at which the track of a video begins

CONTAINED = (
    ("matroska", "aac", _LATE_S),
    ("mp4", "aac", _LATE_S),
    ("ogg", "libopus", 0.0),
    ("mp3", "libmp3lame", 0.0),
)

Span = tuple[float, float]


class Truth(NamedTuple):
    """A sound, and where in it each part is said."""

    samples: Samples
    spans: list[Span]


def trimmed(samples: Samples) -> Samples:
    """From the first sound to the last."""
    frames = samples[: samples.size // _FRAME * _FRAME].reshape(-1, _FRAME)
    level = np.abs(frames).max(axis=1)
    heard = np.flatnonzero(level > _QUIET * level.max())
    return samples[heard[0] * _FRAME : (heard[-1] + 1) * _FRAME]


def assembled(parts: Sequence[Samples], gaps_s: Sequence[float]) -> Truth:
    """``parts`` behind gaps, which come round, with a room's noise."""
    row, spans, at = [], [], 0
    for number, part in enumerate(parts):
        gap = np.zeros(round(gaps_s[number % len(gaps_s)] * SAMPLE_RATE_HZ), np.float32)
        row += [gap, part]
        at += gap.size
        spans.append((at / SAMPLE_RATE_HZ, (at + part.size) / SAMPLE_RATE_HZ))
        at += part.size
    sound = np.concatenate([*row, np.zeros(SAMPLE_RATE_HZ, np.float32)])
    room = np.random.default_rng(1).normal(0, 0.0005, sound.size).astype(np.float32)
    return Truth(sound + room, spans)


def recorded() -> Truth:
    parts = [trimmed(decode.decode((FOLDER / name).read_bytes())) for name in FILES]
    return assembled(parts, GAPS_S)


def single_words() -> Truth:
    said = (
        subprocess.run(
            ["espeak-ng", "-v", "en-us", "-s", "140", "--stdout", word],
            check=True,
            capture_output=True,
        ).stdout
        for word in WORDS.split()
    )
    return assembled([trimmed(decode.decode(each)) for each in said], WORD_GAPS_S)


def _pcm(samples: Samples) -> npt.NDArray[np.int16]:
    return (samples * 32767).clip(-32768, 32767).astype(np.int16)


def contained(samples: Samples, container: str, codec: str, late_s: float) -> bytes:
    """``samples`` in a ``container`` whose track begins ``late_s`` behind its start."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as out:
        stream: Any = out.add_stream(codec, rate=48_000)
        resampler = av.AudioResampler("fltp" if codec == "aac" else "flt", "mono", 48_000)
        picture: Any = None
        if late_s:
            picture = out.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
            for number in range(round((late_s + samples.size / SAMPLE_RATE_HZ) * 10)):
                out.mux(picture.encode(_grey(number)))
            out.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(_pcm(samples).reshape(1, -1), "s16", "mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        fifo = av.AudioFifo()
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            part.pts = None
            fifo.write(part)
        at, size = round(late_s * 48_000), stream.codec_context.frame_size or 960
        while piece := fifo.read(size) or fifo.read(size, partial=True):
            piece.pts, piece.time_base = at, Fraction(1, 48_000)
            at += piece.samples
            out.mux(stream.encode(piece))
        out.mux(stream.encode(None))
    return file.getvalue()


def _grey(number: int) -> av.VideoFrame:
    frame = av.VideoFrame(64, 64, "yuv420p")
    for plane in frame.planes:
        plane.update(bytes([128]) * plane.buffer_size)
    frame.pts = number
    return frame


def asked(box: Box, data: bytes, form: str, **more: str) -> Any:
    answer = box.client.post(
        "/v1/audio/transcriptions",
        data={"model": NAME, "language": "en", "response_format": form, **more},
        files={"file": data},
        timeout=300,
    )
    answer.raise_for_status()
    return answer.json() if form == "verbose_json" else answer.text


def subtitles(text: str) -> list[Span]:
    """The times of an SRT or a VTT file."""
    found = re.findall(r"(\S+) --> (\S+)", text)
    return [(_seconds(start), _seconds(end)) for start, end in found]


def _seconds(time: str) -> float:
    whole = 0.0
    for part in time.replace(",", ".").split(":"):
        whole = 60 * whole + float(part)
    return whole


def off(cues: Sequence[Span], spans: Sequence[Span], late_s: float = 0.0) -> Iterator[Span]:
    """For each part how far the first of its cues begins, and the last ends, from where it is."""
    for start, end in ((start + late_s, end + late_s) for start, end in spans):
        own = [cue for cue in cues if min(cue[1], end) - max(cue[0], start) > 0.05]
        if own:
            yield own[0][0] - start, own[-1][1] - end


def told(name: str, found: Sequence[Span], of: int) -> None:
    for which, each in zip(("begin", "end"), zip(*found, strict=True), strict=True):
        size = sorted(abs(one) for one in each)
        print(
            f"{name}, {which}: {len(found)} of {of} found, median {statistics.median(size):.2f} s, "
            f"most {size[-1]:.2f}; all " + " ".join(f"{one:+.2f}" for one in each),
            flush=True,
        )


def measured(box: Box) -> None:
    one = recorded()
    plain = wav(_pcm(one.samples).tobytes())
    for form in ("srt", "vtt"):
        told(form, list(off(subtitles(asked(box, plain, form)), one.spans)), len(one.spans))
    verbose = asked(box, plain, "verbose_json")["segments"]
    cues = [(cue["start"], cue["end"]) for cue in verbose]
    print(f"longest cue {max(end - start for start, end in cues):.1f} s")
    print(f"longest text {max(len(cue['text']) for cue in verbose)} characters")
    told("verbose_json", list(off(cues, one.spans)), len(one.spans))
    for container, codec, late_s in CONTAINED:
        file = contained(one.samples, container, codec, late_s)
        cues = subtitles(asked(box, file, "srt"))
        told(f"{container} {codec}", list(off(cues, one.spans, late_s)), len(one.spans))


def words(box: Box) -> None:
    one = single_words()
    more = {"timestamp_granularities[]": "word"}
    found = asked(box, wav(_pcm(one.samples).tobytes()), "verbose_json", **more)
    print(found["text"])
    spans = [(word["start"], word["end"]) for word in found["words"]]
    told("words", list(off(spans, one.spans)), len(one.spans))


def main() -> None:
    folder, *rest = sys.argv[1:]
    engine = rest[0] if rest else "ctranslate2"
    with boxes() as make:
        path = str(Path(folder).resolve())
        box = make(spec(NAME, engine=engine, path=path, slots=2, threads=2)).wait_ready()
        measured(box)
        if engine == "ctranslate2":
            words(box)


if __name__ == "__main__":
    main()
