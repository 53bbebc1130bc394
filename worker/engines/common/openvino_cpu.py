"""On which cores OpenVINO computes, and in what."""

from __future__ import annotations

import openvino


def computed_in(precision: str, device: str = "CPU") -> str:
    """What to compute in, always named: by itself a CPU that has bfloat16 would use it. ``auto`` is
    bfloat16 where the device has it, else float32."""
    if precision != "auto":
        return precision
    native = openvino.Core().get_property(device, "OPTIMIZATION_CAPABILITIES")
    return "bf16" if "BF16" in native else "f32"


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
