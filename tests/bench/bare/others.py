"""What the bare libraries do with texts and recordings."""

from __future__ import annotations

import io
from pathlib import Path

from ipc.engine_options import EmbedOptions
from ipc.messages.spec import Spec
from tests.bench.bare.asked import Asked, Work, say

EMBED_BATCH = 32


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
    model.load(spec, checkpoint, options_of(spec, EmbedOptions).precision, say)

    def work(asked: Asked) -> tuple[float, float]:
        done, texts = 0, asked.inputs
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

    def work(asked: Asked) -> tuple[float, float]:
        return len(model.encode(asked.inputs, batch_size=EMBED_BATCH, show_progress_bar=False)), 0.0

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

    def work(asked: Asked) -> tuple[float, float]:
        seconds = 0.0
        for path in asked.inputs:
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
