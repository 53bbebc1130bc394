"""What an hour of sound takes while it is uploaded: memory, and when its words come.

    python -m tests.process.figures.upload FOLDER [ENGINE] [MINUTES] [MB_PER_S]

A recording of MINUTES (60), of which somebody speaks a twentieth, is sent as WAV at so many
megabytes a second (2) to a server of its own with the model in FOLDER. Prints the resident memory
of the frontend and of the worker before, and the most of it meanwhile; when the first words came,
and when the upload ended. Then it is sent once more by a client that leaves after the first words,
and it is told after how long the next one, with a short recording, had its answer.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
import wave

import psutil

from ipc.facts.samples import wav
from tests.process.box import Box, boxes, spec
from tests.process.uploads.client import END, FILE, field
from tests.recordings import FOLDER

NAME = "measured/speech"
RATE_HZ = 16_000
STEP_BYTES = 64 << 10


def recording(minutes: float) -> bytes:
    """Eleven seconds of speech in each 220."""
    with wave.open(str(FOLDER / "jfk.wav")) as spoken:
        speech = spoken.readframes(spoken.getnframes())
    unit = speech + bytes(19 * len(speech))
    return wav(unit * max(1, round(minutes * 60 * RATE_HZ * 2 / len(unit))))


class Peak:
    """The most that some processes have held since `watch` began."""

    def __init__(self, processes: dict[str, psutil.Process]) -> None:
        self._processes = processes
        self.before = self._now()
        self.most = dict(self.before)
        self._over = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _now(self) -> dict[str, int]:
        return {name: one.memory_info().rss for name, one in self._processes.items()}

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for name, rss in self._now().items():
                self.most[name] = max(self.most[name], rss)

    def report(self) -> None:
        self._over.set()
        for name, before in self.before.items():
            print(f"{name}: {before >> 20} MB before, {self.most[name] >> 20} MB at the most")


class Sending:
    """One upload, at its pace, whose answer is read while it is sent."""

    def __init__(self, box: Box, audio: bytes, bytes_per_s: float) -> None:
        fields = {"model": NAME, "language": "en", "stream": "true"}
        body = b"".join(field(*each) for each in fields.items()) + FILE + audio + END
        head = (
            "POST /v1/audio/transcriptions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
            "Content-Type: multipart/form-data; boundary=cut\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._body, self._bytes_per_s = head.encode() + body, bytes_per_s
        self.began_at = time.monotonic()
        self.sent_s: float | None = None
        self.first_s: float | None = None
        self.answer = b""
        self.socket = socket.create_connection(("127.0.0.1", box.port), timeout=1200)
        threading.Thread(target=self._send, daemon=True).start()

    def _send(self) -> None:
        for at in range(0, len(self._body), STEP_BYTES):
            due_at = self.began_at + at / self._bytes_per_s
            time.sleep(max(0.0, due_at - time.monotonic()))
            try:
                self.socket.sendall(self._body[at : at + STEP_BYTES])
            except OSError:
                return
        self.sent_s = time.monotonic() - self.began_at

    def read(self) -> bool:
        """Whether more of the answer has come."""
        part = self.socket.recv(65536)
        self.answer += part
        if self.first_s is None and b"transcript.text.delta" in self.answer:
            self.first_s = time.monotonic() - self.began_at
        return bool(part)

    def read_all(self) -> str:
        while self.read():
            pass
        events = [line[6:] for line in self.answer.decode().splitlines() if line[:6] == "data: "]
        done = [one for one in map(json.loads, events) if one["type"] == "transcript.text.done"]
        return str(done[0]["text"])


def clip(box: Box) -> None:
    """A short recording, heard."""
    box.client.post(
        "/v1/audio/transcriptions",
        data={"model": NAME, "language": "en"},
        files={"file": ("a.wav", (FOLDER / "jfk.wav").read_bytes())},
        timeout=600,
    )


def whole(box: Box, audio: bytes, bytes_per_s: float) -> None:
    processes = {
        "frontend": psutil.Process(box.health()["frontend"]["pid"]),
        "worker": psutil.Process(box.replica(NAME)["pid"]),
    }
    peak = Peak(processes)
    sending = Sending(box, audio, bytes_per_s)
    text = sending.read_all()
    took_s = time.monotonic() - sending.began_at
    peak.report()
    print(f"{len(audio) >> 20} MB, sent in {sending.sent_s:.1f} s")
    print(
        f"first words after {sending.first_s:.1f} s, all {len(text.split())} after {took_s:.1f} s"
    )


def left(box: Box, audio: bytes, bytes_per_s: float) -> None:
    sending = Sending(box, audio, bytes_per_s)
    while sending.first_s is None and sending.read():
        pass
    sending.socket.shutdown(socket.SHUT_RDWR)
    left_at = time.monotonic()
    while box.queue(NAME)["in_flight"]:
        time.sleep(0.01)
    free_s = time.monotonic() - left_at
    clip(box)
    next_s = time.monotonic() - left_at
    print(f"a client leaves: place free after {free_s:.2f} s, next answer after {next_s:.2f} s")


def main() -> None:
    given = sys.argv[1:]
    folder, engine, minutes, pace = [*given, *["", "ctranslate2", "60", "2"][len(given) :]]
    audio, bytes_per_s = recording(float(minutes)), float(pace) * 1e6
    with boxes() as make:
        one = spec(NAME, task="speech", engine=engine, path=folder, slots=2, threads=2)
        box = make(one, max_audio_bytes=1 << 30).wait_ready()
        clip(box)
        whole(box, audio, bytes_per_s)
        left(box, audio, bytes_per_s)


if __name__ == "__main__":
    main()
