"""Chat on torch: causal language models of transformers, batched continuously.

A step gives one token to every answer in the batch and reads a part of the prompts that wait. On
GPUs the host is a step behind: it reads the tokens of a step while the device works on the next.
"""

from __future__ import annotations

import logging
from collections import deque
from concurrent.futures import Future
from typing import NamedTuple

import torch

from ipc.messages.errors import InternalError, OutOfMemory, ServeError
from ipc.messages.events import Event, Failed
from ipc.messages.jobs import ChatInput, Job
from ipc.messages.spec import Loaded, Spec
from worker.chat.prompt import Layout
from worker.engine import LoadError, Stage
from worker.engines.torch_chat.answer import Answer
from worker.engines.torch_chat.graphs import Arriving
from worker.engines.torch_chat.language_model import Language
from worker.engines.torch_chat.load import chat_model
from worker.engines.torch_chat.prompts import Prompt, Prompts
from worker.engines.torch_chat.runtime import build
from worker.engines.torch_chat.sampling import Need, pick
from worker.engines.torch_chat.vision import vision_prompts

logger = logging.getLogger(__name__)


class TorchChat:
    """An `Engine`. Options: ``dtype`` (float32, bfloat16, float16), ``prefill_tokens`` read in a
    step, ``kv_cache_tokens`` that all chats may have together, ``prefix_caching`` and ``compile``
    (on or off), and ``image_pixels``, to which larger images are scaled down."""

    @torch.inference_mode()
    def load(self, spec: Spec, stage: Stage) -> Loaded:
        loaded = chat_model(spec, stage)
        self._spec = spec
        self._eos = loaded.eos
        try:
            self._parts = build(spec, loaded, stage)
        except torch.OutOfMemoryError as error:
            raise LoadError(f"{loaded.device} is full: {error}", permanent=False) from None
        vision = vision_prompts(spec, loaded.processor, loaded.vocabulary, loaded.model.dtype)
        self._vocabulary = loaded.vocabulary
        layout = vision or Layout(loaded.template, loaded.vocabulary)
        self._prompts = Prompts(spec, layout, self._parts.context_tokens)
        self._preparing: dict[str, _Preparing] = {}
        self._answers: dict[str, Answer] = {}
        self._writing: list[Answer] = []  # in the order of the device's rows
        self._launched: deque[_Launched] = deque()
        parameters = sum(tensor.numel() for tensor in loaded.model.parameters())
        dtype = str(loaded.model.dtype).removeprefix("torch.")
        kind = f"{loaded.model.config.model_type}, {parameters / 1e6:.0f}M parameters, {dtype}"
        facts = [kind, self._parts.detail, loaded.note]
        return Loaded(
            device=str(loaded.device),
            context_tokens=loaded.context_tokens or self._parts.context_tokens,
            detail=", ".join(fact for fact in facts if fact),
        )

    @property
    def language(self) -> Language:
        """The model as it is run, for those who measure it."""
        return self._parts.language

    def admit(self, job: Job) -> bool:
        if len(self._preparing) + len(self._answers) >= self._spec.slots:
            return False
        self._preparing[job.id] = _Preparing(job, self._prompts.begin(job))
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._preparing or self._answers else None

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """One token for every answer in the batch, and a part of the prompts still unread."""
        events = self._take_prepared()
        began = False
        try:
            began = self._write()
            began |= self._read()
        except _NoMemory as error:
            events += map(self._out_of_memory, error.answers)
        if began:
            self._launch()
        behind = 1 if began and self._parts.graphs else 0
        while len(self._launched) > behind:
            events += self._collect(self._launched.popleft())
        return events

    @torch.inference_mode()
    def drop(self, job_id: str) -> None:
        preparing = self._preparing.pop(job_id, None)
        if preparing is not None:
            preparing.prompt.cancel()
        answer = self._answers.get(job_id)
        if answer is not None:
            self._end(answer)

    def close(self) -> None:
        self._prompts.close()
        self._answers.clear()
        self._writing.clear()
        self._launched.clear()
        on_cuda = self._parts.language.device.type == "cuda"
        del self._parts
        if on_cuda:
            torch.cuda.empty_cache()

    def _take_prepared(self) -> list[Event]:
        """Take over the prompts that are laid out by now."""
        if self._preparing and not self._answers:
            self._prompts.wait(next(iter(self._preparing.values())).prompt)
        events: list[Event] = []
        for job, prompt in tuple(self._preparing.values()):
            if not prompt.done():
                break
            del self._preparing[job.id]
            try:
                answer = self._answer(job, prompt.result())
            except ServeError as error:
                events.append(Failed(job=job.id, error=error.info()))
                continue
            except Exception:
                logger.exception("prompt_failed", extra={"job": job.id})
                broken = InternalError("the model could not take this request")
                events.append(Failed(job=job.id, error=broken.info()))
                continue
            self._answers[job.id] = answer
            self._parts.reader.add(answer)
        return events

    def _answer(self, job: Job, prompt: Prompt) -> Answer:
        assert isinstance(job.input, ChatInput)  # or it would not have been laid out
        sampling = job.input.sampling
        return Answer(
            job.id,
            prompt,
            sampling,
            limit=min(sampling.max_tokens, self._parts.context_tokens - len(prompt.tokens)),
            vocabulary=self._vocabulary,
            ends=self._eos,
        )

    def _write(self) -> bool:
        """Begin one more token for every row; returns whether there are any."""
        if not self._writing:
            return False
        need = Need.of([answer.choice for answer in self._writing])
        try:
            if self._parts.graphs:
                self._parts.graphs.run(len(self._writing), need)
            else:
                self._parts.decoder.by_spans(
                    [answer.span(row) for row, answer in enumerate(self._writing)], need
                )
        except torch.OutOfMemoryError:
            raise _NoMemory(self._writing[-1:]) from None
        return True

    def _read(self) -> bool:
        """Read a part of the prompts. Those that end here get a row and their first token; returns
        whether there are any."""
        chunks = self._parts.reader.next_chunks()
        if not chunks:
            return False
        ending = [chunk.answer for chunk in chunks if chunk.ends]
        # Whom it costs: the largest, so that the others may have room, or all where none is larger.
        costs = [max(chunks, key=lambda chunk: chunk.count).answer]
        try:
            logits = self._parts.reader.read(chunks)
            costs = ending
            if logits is not None:
                self._join(ending, logits)
        except torch.OutOfMemoryError:
            raise _NoMemory(costs) from None
        return bool(ending)

    def _join(self, answers: list[Answer], logits: torch.Tensor) -> None:
        """Give ``answers`` the next rows, and each its first token from its row of ``logits``."""
        rows, first = self._parts.rows, len(self._writing)
        use = slice(first, first + len(answers))
        need = Need.of([answer.choice for answer in answers])
        try:
            for row, answer in enumerate(answers, first):
                rows.join(row, answer.start, answer.prompt, answer.shift, answer.choice)
            rows.take(use, pick(logits, rows.choices(use), rows.lengths(use), need))
        except torch.OutOfMemoryError:
            for row in range(use.start, use.stop):
                rows.leave(row, row, need)
            raise
        self._writing += answers

    def _launch(self) -> None:
        """Send for the tokens that this step has begun, one for each row."""
        tokens = self._parts.rows.tokens(slice(0, len(self._writing)))
        self._launched.append(_Launched(tuple(self._writing), Arriving(tokens)))
        for answer in tuple(self._writing):
            answer.begun += 1
            if answer.begun == answer.limit:
                self._leave(answer)  # all its tokens are under way

    def _collect(self, launched: _Launched) -> list[Event]:
        """Wait for a step's tokens; those of answers that have ended since are nobody's."""
        events: list[Event] = []
        for answer, token in zip(launched.answers, launched.tokens.read(), strict=True):
            if answer.ended:
                continue
            events += answer.push(token)
            if answer.ended:
                self._end(answer)
        return events

    def _end(self, answer: Answer) -> None:
        answer.ended = True
        del self._answers[answer.job_id]
        self._parts.reader.remove(answer)
        self._leave(answer)
        if answer.segment is not None:
            self._parts.arena.release(answer.segment, answer.reusable)

    def _leave(self, answer: Answer) -> None:
        """Free the row of ``answer``, if it has one; the last row takes its place."""
        if answer not in self._writing:
            return
        row, last = self._writing.index(answer), self._writing[-1]
        need = Need.of([answer.choice, last.choice])
        self._parts.rows.leave(row, len(self._writing) - 1, need)
        self._writing[row] = last
        self._writing.pop()

    def _out_of_memory(self, answer: Answer) -> Event:
        """Give up one answer so that the others can go on."""
        self._end(answer)
        device = self._parts.language.device
        if device.type == "cuda":
            torch.cuda.empty_cache()
        error = OutOfMemory(f"{device} has no memory left for this request; try again later")
        return Failed(job=answer.job_id, error=error.info())


class _Preparing(NamedTuple):
    """A job whose prompt is being laid out."""

    job: Job
    prompt: Future[Prompt]


class _Launched(NamedTuple):
    """The tokens of one step, on their way here, and whose they are."""

    answers: tuple[Answer, ...]
    tokens: Arriving


class _NoMemory(Exception):
    """The device's memory has run out, and ``answers`` are given up for it."""

    def __init__(self, answers: list[Answer]) -> None:
        super().__init__()
        self.answers = answers
