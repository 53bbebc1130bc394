"""What the steps of a token cost whose code has left the processor's caches, and where it has not.

    python -m tests.bench.alone.cold

A model reads all its weights for each token, so at one stream every step of the server begins with
cold caches. Here as much memory is read before each call. The first row is what the clock takes.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from statistics import median
from time import perf_counter_ns

import numpy as np
import zmq
from prometheus_client import CollectorRegistry, Histogram

from frontend.api.openai.chat_answer import Completion
from frontend.dispatch.budget import Budget
from frontend.dispatch.stream import Stream
from ipc.messages.events import Delta, Events
from ipc.transport.wire import Decoder, encode

READ_MB = 96
CALLS = 150

Step = Callable[[], object]


def main() -> None:
    read = np.ones((READ_MB << 20) // 8)
    print("| step | cold, µs | warm, µs |", "| --- | --- | --- |", sep="\n")
    with _steps() as steps:
        for name, step in steps.items():
            cold = _median_us(step, lambda: read.sum())
            warm = _median_us(step, lambda: None)
            print(f"| {name} | {cold:.1f} | {warm:.2f} |")


def _median_us(step: Step, before: Step) -> float:
    taken: list[int] = []
    for _ in range(CALLS):
        before()
        began = perf_counter_ns()
        step()
        taken.append(perf_counter_ns() - began)
    return median(taken) / 1000


@contextmanager
def _steps() -> Iterator[dict[str, Step]]:
    piece = Delta("job", " word", 1, ids=[17])
    frames = encode(Events([piece]))
    decoder = Decoder[Events](Events)
    stream = Stream("job", 0.0, lambda _: None, Budget(1 << 30).open())
    render = Completion("a/model", "fp_0", include_usage=True).streamed().render
    render([piece])  # the answer's first chunk is another one
    labels = ("model",)
    gaps = Histogram("gaps", "gaps", labels, registry=CollectorRegistry()).labels("a/model")
    with _peers() as (sender, receiver), _connection() as (server, client):

        def loopback() -> None:
            server.send(frames[0])
            client.recv(4096)

        def message() -> None:
            sender.send(frames[0])
            receiver.recv(copy=False)

        yield {
            "nothing": lambda: None,
            "a message encoded": lambda: encode(Events([piece])),
            "sent and received by ZeroMQ, within a process": message,
            "ZeroMQ asked whether there is another": lambda: receiver.getsockopt(zmq.EVENTS),
            "decoded": lambda: decoder.decode(frames),
            "given to its stream": lambda: stream.push(piece, 1.0),
            "rendered": lambda: render([piece]),
            "its gap counted": lambda: gaps.observe(0.01),
            "written to the socket and read by the client": loopback,
        }


@contextmanager
def _peers() -> Iterator[tuple[zmq.Socket[bytes], zmq.Socket[bytes]]]:
    with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as two:
        one.bind("inproc://cold")
        two.connect("inproc://cold")
        yield one, two


@contextmanager
def _connection() -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        closing(socket.create_connection(listener.getsockname())) as client,
        closing(listener.accept()[0]) as server,
    ):
        yield server, client


if __name__ == "__main__":
    main()
