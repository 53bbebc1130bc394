"""``edge-serve bench gpu``: the torch chat engine as a share of what the device can do.

A model with the shape of Qwen3-4B and random weights is built in a temporary folder, some 8 GB of
it, and served by the engine itself. Writing is bound by memory: for each token of a step all
weights and the keys and values of every sequence are read. Reading is bound by arithmetic. Both
bounds are measured here, on the same device: copying memory, and multiplying matrices.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ipc.messages.events import Delta, Done, Event, Failed
from ipc.messages.jobs import ChatInput, Job, Message, Sampling
from ipc.messages.spec import Spec
from tests.bench.ceilings import copy_bandwidth, matrix_rate, synchronise
from tests.bench.random_model import SHAPES, Shape, build, prompt
from worker.engine import LoadError
from worker.engines.common.torch_device import find_device
from worker.engines.torch_chat.engine import TorchChat
from worker.engines.torch_chat.kv import token_bytes

BATCHES = (1, 8, 64)
_DEADLINE_S = 3600.0
_GIGA = 1e9


@dataclass(frozen=True)
class Plan:
    """What is measured. Answers of ``new_tokens`` are to prompts of ``prompt_tokens``; a prompt of
    ``read_tokens`` is only read. Figures are medians of ``rounds``."""

    shape: Shape
    device: torch.device
    dtype: torch.dtype
    batches: tuple[int, ...]
    prompt_tokens: int
    new_tokens: int
    read_tokens: int
    rounds: int


def main(argv: list[str]) -> int:
    args = _parser().parse_args(argv)
    name = args.device or ("cuda" if torch.cuda.is_available() else "")
    if not name:
        print("edge-serve bench gpu: no GPU here; --device cpu measures the CPU", file=sys.stderr)
        return 1
    try:
        report = measure(_plan(args, find_device(name)))
    except (LoadError, torch.OutOfMemoryError, OSError) as error:
        print(f"edge-serve bench gpu: {error}", file=sys.stderr)
        return 1
    print(table(report))
    if args.json:
        args.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


def _plan(args: argparse.Namespace, device: torch.device) -> Plan:
    return Plan(
        shape=SHAPES[args.shape].changed(args.layers, args.hidden),
        device=device,
        dtype=torch.float32 if device.type == "cpu" else torch.bfloat16,
        batches=tuple(args.batches),
        prompt_tokens=args.prompt_tokens,
        new_tokens=args.new_tokens,
        read_tokens=args.read_tokens,
        rounds=args.rounds,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "edge-serve bench gpu",
        description="Measure the torch chat engine on a model of random weights, built on the "
        "spot, beside the bounds of the device and beside transformers' generate.",
    )
    add = parser.add_argument
    add("--device", help="cuda, cuda:N, or cpu; the first GPU if left out")
    add("--shape", choices=SHAPES, default="qwen3-4b")
    add("--layers", type=int, help="another number of layers")
    add("--hidden", type=int, help="another hidden size")
    add("--batches", type=int, nargs="+", default=BATCHES, help="how many answers at once")
    add("--prompt-tokens", type=int, default=128)
    add("--new-tokens", type=int, default=256)
    add("--read-tokens", type=int, default=4096, help="of the prompt whose reading is timed")
    add("--rounds", type=int, default=5)
    add("--json", type=Path, metavar="FILE")
    return parser


def measure(plan: Plan) -> dict[str, Any]:
    """All figures, as JSON has them."""
    with tempfile.TemporaryDirectory(prefix="edge-serve-bench-") as folder:
        _say(f"building a model of {plan.shape.num_hidden_layers} layers")
        build(Path(folder), plan.shape, plan.device, plan.dtype)
        bandwidth = copy_bandwidth(plan.device)
        rate = matrix_rate(plan.device, plan.dtype)
        engine, detail = _load(plan, folder)
        try:
            size = Size.of(engine)
            read_s = median(_read(engine, plan, at) for at in range(plan.rounds))
            writing = {
                batch: median(_write(engine, plan, batch, at) for at in range(plan.rounds))
                for batch in plan.batches
            }
        finally:
            engine.close()
        del engine
        gc.collect()
        generated = _generate(plan, folder)
    flops = size.read_flops(plan.read_tokens, plan.shape)
    return {
        "device": _device_name(plan.device),
        "engine": detail,
        "shape": asdict(plan.shape),
        "dtype": str(plan.dtype).removeprefix("torch."),
        "copy_gb_s": bandwidth / _GIGA,
        "matrix_tflop_s": rate / 1e12,
        "weights_gb": size.weight_bytes / _GIGA,
        "kv_kb_token": size.kv_bytes / 1e3,
        "prefill": {
            "tokens": plan.read_tokens,
            "tokens_s": plan.read_tokens / read_s,
            "share": flops / read_s / rate,
        },
        "decode": [
            _decode_row(batch, tokens_s, generated[batch], size.bound(batch, bandwidth, plan))
            for batch, tokens_s in writing.items()
        ],
    }


def _decode_row(batch: int, tokens_s: float, generated: float, bound: float) -> dict[str, float]:
    return {
        "batch": batch,
        "tokens_s": tokens_s,
        "bound_tokens_s": bound,
        "share": tokens_s / bound,
        "generate_tokens_s": generated,
        "ratio": tokens_s / generated,
    }


@dataclass(frozen=True)
class Size:
    """What is read from memory: ``weight_bytes`` in each step, ``kv_bytes`` for each token that a
    sequence has; and ``weights``, each of which is a multiplication and an addition a token."""

    weight_bytes: int
    kv_bytes: int
    weights: int

    @classmethod
    def of(cls, engine: TorchChat) -> Size:
        model = engine.language_model
        inside = sum(one.numel() for one in model.model.model.layers.parameters())
        return cls(
            weight_bytes=sum(one.nbytes for one in model.model.parameters()),
            kv_bytes=token_bytes(model.shapes, model.model.dtype),
            weights=inside,
        )

    def bound(self, batch: int, bandwidth: float, plan: Plan) -> float:
        """Tokens a second if nothing took time but reading memory."""
        length = plan.prompt_tokens + plan.new_tokens / 2
        return batch * bandwidth / (self.weight_bytes + batch * length * self.kv_bytes)

    def read_flops(self, tokens: int, shape: Shape) -> float:
        """Of reading a prompt: the layers' matrices, and attention to half of it on average."""
        attention = 2 * tokens * shape.num_attention_heads * shape.head_dim
        return 2.0 * tokens * (self.weights + shape.num_hidden_layers * attention / 2)


def _load(plan: Plan, folder: str) -> tuple[TorchChat, str]:
    spec = Spec(
        name="bench",
        task="chat",
        engine="torch",
        path=folder,
        device=str(plan.device),
        slots=max(plan.batches),
        max_prompt_tokens=max(plan.prompt_tokens, plan.read_tokens),
        max_new_tokens=plan.new_tokens,
        options={"dtype": str(plan.dtype).removeprefix("torch."), "prefix_caching": False},
    )
    engine = TorchChat()
    loaded = engine.load(spec, _say)
    return engine, loaded.detail


def _job(plan: Plan, tokens: int, new_tokens: int, number: int) -> Job:
    sampling = Sampling(max_tokens=new_tokens, temperature=0.0)
    text = prompt(tokens, plan.shape, number)
    return Job(
        id=str(number),
        model="bench",
        input=ChatInput(messages=[Message("user", text)], sampling=sampling),
        deadline_at=time.monotonic() + _DEADLINE_S,
    )


def _read(engine: TorchChat, plan: Plan, at: int) -> float:
    """Seconds from a long prompt to the first token after it."""
    _say(f"reading, round {at + 1}")
    job = _job(plan, plan.read_tokens, 1, 1_000_000 + at)
    begin = time.perf_counter()
    engine.admit(job)
    while not any(isinstance(event, Done) for event in _step(engine)):
        pass
    return time.perf_counter() - begin


def _write(engine: TorchChat, plan: Plan, batch: int, at: int) -> float:
    """Tokens a second of ``batch`` answers, while all of them are being written."""
    _say(f"writing {batch} at once, round {at + 1}")
    jobs = [
        _job(plan, plan.prompt_tokens, plan.new_tokens, at * 10_000 + number)
        for number in range(batch)
    ]
    for job in jobs:
        engine.admit(job)
    unread = {job.id for job in jobs}
    while unread:
        unread -= {event.job for event in _step(engine)}
    begin, tokens = time.perf_counter(), 0
    while True:
        events = _step(engine)
        if any(isinstance(event, Done) for event in events):
            break
        end = time.perf_counter()
        tokens += sum(event.tokens for event in events if isinstance(event, Delta))
    while engine.wait_s() is not None:
        _step(engine)
    return tokens / (end - begin)


def _step(engine: TorchChat) -> list[Event]:
    events = engine.step()
    failed = [event for event in events if isinstance(event, Failed)]
    if failed:
        raise LoadError(failed[0].error.message)
    return events


def _generate(plan: Plan, folder: str) -> dict[int, float]:
    """Tokens a second of transformers' own loop, by batch; reading the prompts not counted."""
    _say("transformers' generate")
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, dtype=plan.dtype, device_map={"": plan.device}
    )
    found = {}
    for batch in plan.batches:
        ids = torch.randint(
            2, plan.shape.vocab_size, (batch, plan.prompt_tokens), device=plan.device
        )
        taken = {}
        for tokens in (1, 1, plan.new_tokens):  # the first of all is slower
            begin = time.perf_counter()
            limits = {"max_new_tokens": tokens, "min_new_tokens": tokens}
            model.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, **limits)
            synchronise(plan.device)
            taken[tokens] = time.perf_counter() - begin
        written = batch * (plan.new_tokens - 1)
        found[batch] = written / (taken[plan.new_tokens] - taken[1])
    return found


def _device_name(device: torch.device) -> str:
    if device.type != "cuda":
        return str(device)
    version = f"torch {torch.__version__}, CUDA {torch.version.cuda}"
    return f"{torch.cuda.get_device_name(device)}, {version}"


def table(report: dict[str, Any]) -> str:
    """The figures in Markdown."""
    read = report["prefill"]
    lines = [
        f"{report['device']}: copies {report['copy_gb_s']:.0f} GB/s, multiplies "
        f"{report['matrix_tflop_s']:.1f} TFLOP/s. {report['weights_gb']:.2f} GB of weights, "
        f"{report['kv_kb_token']:.0f} KB of keys and values a token ({report['engine']}).",
        "",
        "| at once | tokens/s | bound | share | generate | times generate |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    lines += [
        f"| {row['batch']} | {row['tokens_s']:.0f} | {row['bound_tokens_s']:.0f} "
        f"| {row['share']:.0%} | {row['generate_tokens_s']:.0f} | {row['ratio']:.1f} |"
        for row in report["decode"]
    ]
    lines += [
        "",
        f"A prompt of {read['tokens']} tokens is read at {read['tokens_s']:.0f} tokens/s, "
        f"{read['share']:.0%} of the matrix rate.",
    ]
    return "\n".join(lines)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
