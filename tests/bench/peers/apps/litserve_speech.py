"""LitServe with faster-whisper, a worker for each core: ``MODEL PORT``."""

import os
import sys
from typing import Any, BinaryIO

import litserve
from faster_whisper import WhisperModel
from starlette.requests import Request

TIMEOUT_S = 600.0


class Transcriptions(litserve.LitAPI):  # type: ignore[misc]
    def setup(self, _device: str) -> None:
        self.model = WhisperModel(sys.argv[1], device="cpu", compute_type="int8", cpu_threads=1)

    # LitServe goes by the annotation, and then gives the form out of the request.
    def decode_request(self, request: Request) -> BinaryIO:
        form: Any = request
        file: BinaryIO = form["file"].file
        return file

    def predict(self, audio: BinaryIO) -> dict[str, object]:
        segments, info = self.model.transcribe(
            audio, language="en", beam_size=5, vad_filter=True, max_new_tokens=220
        )
        return {"text": " ".join(segment.text for segment in segments), "duration": info.duration}


if __name__ == "__main__":
    server = litserve.LitServer(
        Transcriptions(api_path="/v1/audio/transcriptions"),
        accelerator="cpu",
        workers_per_device=len(os.sched_getaffinity(0)),
        timeout=TIMEOUT_S,
    )
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
