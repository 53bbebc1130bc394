"""How long live words take: ``python -m tests.process.figures.live FOLDER [ENGINE] [SESSIONS]``.

Recordings are sent at the pace at which they were spoken, 100 ms at a time, and the clock of each
is that of its sound: what is told of a word is late by as much as it comes after the word's end,
which the same model tells of the whole file.
"""

from __future__ import annotations

import asyncio
import base64
import json
import statistics
import sys
import time
import wave
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jiwer
from websockets.asyncio.client import connect

from tests.process.box import Box, boxes, spec
from tests.recordings import FOLDER, known

NAME = "measured/speech"
STEP_S = 0.1
NAMES = ("jfk", "austen-0870", "austen-0890")
_TRANSCRIPTION = "conversation.item.input_audio_transcription"


@dataclass
class Heard:
    """What one session was told; times are seconds of its sound."""

    first_unstable_s: float | None = None
    deltas: list[tuple[float, str]] = field(default_factory=list)
    ends_s: list[float] = field(default_factory=list)  # from speech_stopped to completed
    stopped_at: dict[str, float] = field(default_factory=dict)
    text: str = ""


async def _session(box: Box, samples: bytes, rate: int) -> Heard:
    url = box.url.replace("http", "ws") + f"/v1/realtime?model={NAME}"
    heard = Heard()
    async with connect(url, compression=None, max_size=None) as socket:
        await socket.recv()
        include = ["item.input_audio_transcription.unstable"]
        given = {
            "type": "transcription",
            "include": include,
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": rate},
                    "transcription": {"language": "en"},
                }
            },
        }
        await socket.send(json.dumps({"type": "session.update", "session": given}))
        await socket.recv()
        began = time.monotonic()
        listening = asyncio.create_task(_listen(socket, heard, began))
        step = int(rate * STEP_S) * 2
        samples += bytes(rate * 2 * 2)  # two seconds in which the turn ends
        for number, at in enumerate(range(0, len(samples), step), 1):
            await asyncio.sleep(max(0.0, began + number * STEP_S - time.monotonic()))
            audio = base64.b64encode(samples[at : at + step]).decode()
            message = {"type": "input_audio_buffer.append", "audio": audio}
            await socket.send(json.dumps(message))
        await asyncio.sleep(4.0)
        listening.cancel()
    return heard


async def _listen(socket: Any, heard: Heard, began: float) -> None:
    async for message in socket:
        now = time.monotonic() - began
        event = json.loads(message)
        match event["type"]:
            case "error":
                print(event)
            case "input_audio_buffer.speech_stopped":
                heard.stopped_at[event["item_id"]] = now
            case kind if kind == f"{_TRANSCRIPTION}.unstable":
                if event["text"] and heard.first_unstable_s is None:
                    heard.first_unstable_s = now
            case kind if kind == f"{_TRANSCRIPTION}.delta":
                heard.deltas.append((now, event["delta"]))
            case kind if kind == f"{_TRANSCRIPTION}.completed":
                heard.ends_s.append(now - heard.stopped_at[event["item_id"]])
                heard.text += f" {event['transcript']}"


def _file_words(box: Box, path: Path) -> tuple[str, list[dict[str, Any]]]:
    answer = box.client.post(
        "/v1/audio/transcriptions",
        data={
            "model": NAME,
            "language": "en",
            "response_format": "verbose_json",
            "timestamp_granularities[]": "word",
        },
        files={"file": path.read_bytes()},
    ).json()
    return answer["text"], answer["words"]


def _lags(heard: Heard, words: list[dict[str, Any]]) -> list[float]:
    """For each told word that the file has at about the same place, how late it came."""
    told = [(at, word) for at, text in heard.deltas for word in text.split()]
    own = [_plain(word) for _, word in told]
    file = [_plain(each["word"]) for each in words]
    if not own or not file:
        return []
    chunks = jiwer.process_words(" ".join(file), " ".join(own)).alignments[0]
    return [
        told[chunk.hyp_start_idx + at][0] - words[chunk.ref_start_idx + at]["end"]
        for chunk in chunks
        if chunk.type == "equal"
        for at in range(chunk.ref_end_idx - chunk.ref_start_idx)
    ]


def _plain(word: str) -> str:
    return "".join(letter for letter in word.lower() if letter.isalnum()) or "-"


def _errors(text: str, truth: str) -> float:
    reference, own = (" ".join(map(_plain, each.split())) for each in (truth, text or "-"))
    return float(jiwer.wer(reference, own))


def _samples(path: Path) -> tuple[bytes, int]:
    with wave.open(str(path)) as file:
        assert file.getnchannels() == 1
        assert file.getsampwidth() == 2
        return file.readframes(file.getnframes()), file.getframerate()


def _report(name: str, box: Box, path: Path, truth: str, sessions: int) -> None:
    samples, rate = _samples(path)
    text, words = _file_words(box, path)
    found = asyncio.run(_together(box, samples, rate, sessions))
    lags = sorted(lag for heard in found for lag in _lags(heard, words))
    unstable = [heard.first_unstable_s for heard in found if heard.first_unstable_s is not None]
    ends = [end for heard in found for end in heard.ends_s]
    line = {
        "first_unstable_s": [round(one - words[0]["start"], 2) for one in unstable],
        "delta_lag_p50_s": round(statistics.median(lags), 2) if lags else None,
        "delta_lag_p95_s": round(lags[int(0.95 * (len(lags) - 1))], 2) if lags else None,
        "stop_to_completed_s": [round(end, 2) for end in ends],
        "wer_live": [round(_errors(heard.text, truth), 3) for heard in found],
        "wer_file": round(_errors(text, truth), 3),
    }
    print(name, f"x{sessions}", json.dumps(line), flush=True)


async def _together(box: Box, samples: bytes, rate: int, sessions: int) -> list[Heard]:
    return await asyncio.gather(*(_session(box, samples, rate) for _ in range(sessions)))


def main() -> None:
    folder, *rest = sys.argv[1:]
    engine = rest[0] if rest else "ctranslate2"
    sessions = int(rest[1]) if len(rest) > 1 else 1
    with boxes() as make:
        path = str(Path(folder).resolve())
        box = make(
            spec(NAME, engine=engine, path=path, slots=max(2, sessions), threads=2)
        ).wait_ready()
        for each in known():
            if each["name"] in NAMES:
                _report(each["name"], box, FOLDER / each["file"], each["text"], sessions)


if __name__ == "__main__":
    main()
