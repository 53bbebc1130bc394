"""A library without a server, in a process of its own: ``HOW FOLDER PORT``.

Each line of its input is a JSON list of texts or of files; each is answered by a line of JSON:
``amount`` (texts, or seconds of audio), ``seconds``, ``cpu_s`` and the ``texts`` that were heard.
The first line out says that the model is loaded. The port is not used.
"""

from __future__ import annotations

import json
import os
import sys
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import perf_counter, process_time
from typing import Any

Work = Callable[[list[str]], tuple[float, list[str]]]

CORES = len(os.sched_getaffinity(0))
# As edge-serve has them.
LISTEN = {"language": "en", "beam_size": 5, "vad_filter": True, "max_new_tokens": 220}


def embed(folder: str) -> Work:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")

    def work(texts: list[str]) -> tuple[float, list[str]]:
        return len(model.encode(texts, batch_size=32)), []

    return work


def speech(folder: str) -> Work:
    """One recording after the other, each on all cores."""
    model = _whisper(folder, threads=CORES, workers=1)
    return lambda paths: _together([_hear(model, path) for path in paths])


def speech_threads(folder: str) -> Work:
    """A recording on each core."""
    model = _whisper(folder, threads=1, workers=CORES)
    pool = ThreadPoolExecutor(CORES)
    return lambda paths: _together(list(pool.map(partial(_hear, model), paths)))


def speech_alone(folder: str) -> Work:
    """The same as `speech`, but no window is told what was said before it."""
    model = _whisper(folder, threads=CORES, workers=1)
    alone = {"condition_on_previous_text": False}
    return lambda paths: _together([_hear(model, path, alone) for path in paths])


def speech_batched(folder: str) -> Work:
    """The windows of a recording in batches of 8, as it comes."""
    return _batched(folder, 8)


def speech_batched_16(folder: str) -> Work:
    return _batched(folder, 16)


def _batched(folder: str, windows: int) -> Work:
    from faster_whisper import BatchedInferencePipeline

    model = BatchedInferencePipeline(_whisper(folder, threads=CORES, workers=1))
    return lambda paths: _together([_hear(model, path, {"batch_size": windows}) for path in paths])


def whisper_cpp(file: str) -> Work:
    """The likeliest token each time, which is what whisper.cpp does unless it is asked for more."""
    return _whisper_cpp(file, beams=0)


def whisper_cpp_beams(file: str) -> Work:
    return _whisper_cpp(file, beams=5)


def _whisper_cpp(file: str, beams: int) -> Work:
    from pywhispercpp.model import Model

    search = {"beam_search": {"beam_size": beams, "patience": -1.0}} if beams else {}
    shown = {"print_progress": False, "print_realtime": False}
    model = Model(file, params_sampling_strategy=int(beams > 0), n_threads=CORES, **shown, **search)

    def hear(path: str) -> tuple[float, str]:
        heard = model.transcribe(path, language="en")
        with wave.open(path) as sound:
            seconds = sound.getnframes() / sound.getframerate()
        return seconds, " ".join(segment.text for segment in heard)

    return lambda paths: _together([hear(path) for path in paths])


def _whisper(folder: str, threads: int, workers: int) -> Any:
    from faster_whisper import WhisperModel

    return WhisperModel(
        folder, device="cpu", compute_type="int8", cpu_threads=threads, num_workers=workers
    )


def _hear(model: Any, path: str, asked: dict[str, Any] | None = None) -> tuple[float, str]:
    segments, info = model.transcribe(path, **LISTEN, **(asked or {}))
    return info.duration, " ".join(segment.text for segment in segments)


def _together(heard: list[tuple[float, str]]) -> tuple[float, list[str]]:
    return sum(seconds for seconds, _ in heard), [text for _, text in heard]


HOW = {
    "embed": embed,
    "speech": speech,
    "speech-threads": speech_threads,
    "speech-alone": speech_alone,
    "speech-batched": speech_batched,
    "speech-batched-16": speech_batched_16,
    "whisper-cpp": whisper_cpp,
    "whisper-cpp-beams": whisper_cpp_beams,
}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries print
    work = HOW[sys.argv[1]](sys.argv[2])
    print("{}", file=answers)
    for line in sys.stdin:
        started_at, cpu_s = perf_counter(), process_time()
        amount, texts = work(json.loads(line))
        answer = {
            "amount": amount,
            "seconds": perf_counter() - started_at,
            "cpu_s": process_time() - cpu_s,
            "texts": texts,
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
