"""A library without a server, in a process of its own: ``embed|speech FOLDER PORT``.

Each line of its input is a JSON list of texts or of files; each is answered by a line of JSON:
``amount`` (texts, or seconds of audio), ``seconds``, ``cpu_s`` and ``words`` of what was heard.
The first line out says that the model is loaded. The port is not used.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from time import perf_counter, process_time

Work = Callable[[list[str]], tuple[float, str]]


def embed(folder: str) -> Work:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(folder, device="cpu")

    def work(texts: list[str]) -> tuple[float, str]:
        return len(model.encode(texts, batch_size=32)), ""

    return work


def speech(folder: str) -> Work:
    from faster_whisper import WhisperModel

    threads = len(os.sched_getaffinity(0))
    model = WhisperModel(folder, device="cpu", compute_type="int8", cpu_threads=threads)

    def work(paths: list[str]) -> tuple[float, str]:
        seconds, heard = 0.0, list[str]()
        for path in paths:
            segments, info = model.transcribe(
                path, language="en", beam_size=5, vad_filter=True, max_new_tokens=220
            )
            heard += [segment.text for segment in segments]
            seconds += info.duration
        return seconds, " ".join(heard)

    return work


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # libraries print
    work = {"embed": embed, "speech": speech}[sys.argv[1]](sys.argv[2])
    print("{}", file=answers)
    for line in sys.stdin:
        started_at, cpu_s = perf_counter(), process_time()
        amount, words = work(json.loads(line))
        answer = {
            "amount": amount,
            "seconds": perf_counter() - started_at,
            "cpu_s": process_time() - cpu_s,
            "words": words,
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
