"""``python -m tests.bench.bare``: one engine without edge-serve, in a process of its own.

It loads the model of the JSON `Spec` in the first line of its input and answers with a `Run`. Then
each line is a JSON list of inputs, answered with the `Run` of them; the end of input ends it.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import msgspec
import psutil

from bench.words import ANSWER_TOKENS
from ipc.engines import EmbedOptions
from ipc.messages.spec import Spec

EMBED_BATCH = 32
SENTENCE_TRANSFORMERS = "sentence-transformers"


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What one call did: completion tokens, texts or seconds of audio, in so many seconds.

    ``cpu_s`` is the time of all processors, ``first_s`` the mean time to an answer's first token
    where there are tokens.
    """

    amount: float = 0.0
    seconds: float = 0.0
    cpu_s: float = 0.0
    first_s: float = 0.0
    rss_mb: float = 0.0


# Inputs to the amount of work done and the mean time to the first token.
Work = Callable[[list[str]], tuple[float, float]]


def chat(spec: Spec) -> Work:
    """`ContinuousBatchingPipeline.generate` over all prompts, from messages to text, greedy, with
    edge-serve's model files and scheduler configuration."""
    import numpy as np
    import openvino
    import openvino_genai as genai

    from ipc.messages.jobs import Message
    from worker.engines.openvino_chat.load import chat_model

    model = chat_model(spec, _say)
    pipeline, layout = model.pipeline, model.texts.layout
    tokenizer = pipeline.get_tokenizer()
    config = genai.GenerationConfig()
    config.max_new_tokens = ANSWER_TOKENS

    def encode(prompt: str) -> Any:
        return openvino.Tensor(np.array([layout.tokens([Message("user", prompt)])]))

    def work(prompts: list[str]) -> tuple[float, float]:
        answers = pipeline.generate([encode(prompt) for prompt in prompts], [config] * len(prompts))
        written = [answer.m_generation_ids[0] for answer in answers]
        for tokens in written:
            tokenizer.decode(tokens)
        # Every answer carries the same metrics, those of the whole call.
        return sum(map(len, written)), answers[0].perf_metrics.get_ttft().mean / 1000

    return work


def embed(spec: Spec) -> Work:
    """The compiled model over batches of `EMBED_BATCH`, from text to vectors."""
    import numpy as np
    from tokenizers import Tokenizer

    from worker.engine import options_of
    from worker.engines.encoders.openvino_encoder import OpenvinoEncoder
    from worker.engines.encoders.sentence import read_checkpoint

    checkpoint = read_checkpoint(spec.path)
    tokenizer = Tokenizer.from_file(str(checkpoint.tokenizer))
    tokenizer.enable_padding(pad_id=checkpoint.pad_token)
    model = OpenvinoEncoder("convert")  # as it was when the spec was fetched
    model.load(spec, checkpoint, options_of(spec, EmbedOptions).precision, _say)

    def work(texts: list[str]) -> tuple[float, float]:
        done = 0
        for start in range(0, len(texts), EMBED_BATCH):
            encodings = tokenizer.encode_batch(texts[start : start + EMBED_BATCH])
            ids = np.array([encoding.ids for encoding in encodings])
            mask = np.array([encoding.attention_mask for encoding in encodings])
            done += len(model((ids, mask)))
        return done, 0.0

    return work


def sentence_transformers(spec: Spec) -> Work:
    """``SentenceTransformer.encode``, which sorts the texts by length, in its batches of 32."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(spec.threads or torch.get_num_threads())
    model = SentenceTransformer(spec.path, device="cpu", local_files_only=True)

    def work(texts: list[str]) -> tuple[float, float]:
        return len(model.encode(texts, batch_size=EMBED_BATCH, show_progress_bar=False)), 0.0

    return work


def speech(spec: Spec) -> Work:
    """faster-whisper on files named in the input, with edge-serve's settings."""
    from faster_whisper import WhisperModel

    model = WhisperModel(
        spec.path,
        device="cpu",
        compute_type="int8",
        cpu_threads=spec.threads,
        local_files_only=True,
    )

    def work(paths: list[str]) -> tuple[float, float]:
        seconds = 0.0
        for path in paths:
            segments, info = model.transcribe(
                io.BytesIO(Path(path).read_bytes()),
                language="en",
                beam_size=5,
                vad_filter=True,
                max_new_tokens=220,
            )
            for _ in segments:
                pass
            seconds += info.duration
        return seconds, 0.0

    return work


ENGINES: dict[tuple[str, str], Callable[[Spec], Work]] = {
    ("openvino", "chat"): chat,
    ("openvino", "embed"): embed,
    (SENTENCE_TRANSFORMERS, "embed"): sentence_transformers,
    ("ctranslate2", "speech"): speech,
}


def main() -> None:
    # Libraries print to the standard output; the answers get one of their own.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    spec = msgspec.json.decode(sys.stdin.buffer.readline(), type=Spec)
    work = ENGINES[spec.engine, spec.task](spec)
    answers.write(_line(Run()))
    for line in sys.stdin.buffer:
        inputs = msgspec.json.decode(line, type=list[str])
        answers.write(_line(_timed(work, inputs)))


def _timed(work: Work, inputs: list[str]) -> Run:
    started_at, cpu_s = perf_counter(), process_time()
    amount, first_s = work(inputs)
    return Run(
        amount=amount,
        seconds=perf_counter() - started_at,
        cpu_s=process_time() - cpu_s,
        first_s=first_s,
        rss_mb=psutil.Process().memory_info().rss / 2**20,
    )


def _line(run: Run) -> bytes:
    return msgspec.json.encode(run) + b"\n"


def _say(stage: str) -> None:
    print(stage, file=sys.stderr)


if __name__ == "__main__":
    main()
