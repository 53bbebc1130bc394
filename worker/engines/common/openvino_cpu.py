"""On which cores OpenVINO computes."""

from __future__ import annotations


def on_cpu(threads: int) -> dict[str, str | int]:
    """OpenVINO's properties for ``threads``, 0 for its own choice, on whatever cores are free.

    By itself it ties each model's threads to the first cores, for every process to the same ones: a
    thread then waits for its core while another has nothing to do. With chat, embeddings and speech
    busy on two cores embeddings got 28 % more done untied, speech 14 %. Chat is left as it is: it
    got 3 % more, but by itself it took a tenth more processor time for a token.
    """
    properties: dict[str, str | int] = {"ENABLE_CPU_PINNING": False}
    if threads > 0:
        properties["INFERENCE_NUM_THREADS"] = threads
    return properties
