"""Chat on torch: any causal language model of transformers, batched continuously.

A request's prompt is read alone, in chunks, then its keys and values join the batch; from there it
gets one token a step, beside whoever else is in the batch, until it ends. A prompt with images is
read whole, since an image's tokens may look at each other.
"""

from __future__ import annotations

import inspect
from collections import deque

import jinja2
import torch
from transformers.cache_utils import Cache, DynamicCache

from ipc.errors import ContextTooLong, InvalidRequest, OutOfMemory
from ipc.types import (
    ChatInput,
    ChatResult,
    Delta,
    Done,
    Event,
    Failed,
    Finish,
    Job,
    Loaded,
    Message,
    Spec,
    Usage,
)
from worker.engine import Stage
from worker.engines.torch_cache import BatchCache
from worker.engines.torch_load import ChatModel, chat_model
from worker.engines.torch_sampling import Choice, pick
from worker.engines.torch_vision import Tensors, VisionPrompts, take_shift
from worker.images import TOKEN_PIXELS
from worker.text import TextStream

# Prompt tokens read in one step. Everyone in the batch waits for them, so they cost about as long
# as a few tokens of an answer: fewer on a CPU, where reading is bound by arithmetic.
_PREFILL_TOKENS_CPU = 128
_PREFILL_TOKENS_GPU = 1024


class TorchChat:
    """An `Engine`. Options: ``dtype`` (float32, bfloat16, float16), ``prefill_tokens``, and
    ``image_pixels``, to which larger images are scaled down."""

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        loaded = chat_model(spec, stage)
        # Torch starts every process with the same seed; requests without one must differ.
        torch.seed()
        self._start(spec, loaded)
        parameters = sum(tensor.numel() for tensor in loaded.model.parameters())
        return Loaded(
            device=str(loaded.model.device),
            context_tokens=self._context_tokens,
            detail=f"{loaded.model.config.model_type}, {parameters / 1e6:.0f}M parameters, "
            f"{loaded.model.dtype}".replace("torch.", "")
            + (f", {loaded.note}" if loaded.note else ""),
        )

    def _start(self, spec: Spec, loaded: ChatModel) -> None:
        self._spec = spec
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        self._device, self._eos = loaded.device, loaded.eos
        self._vision = _vision(spec, loaded)
        self._context_tokens = loaded.context_tokens or spec.max_prompt_tokens + spec.max_new_tokens
        self._accepts = frozenset(inspect.signature(self._model.forward).parameters)
        on_cpu = self._device.type == "cpu"
        default = _PREFILL_TOKENS_CPU if on_cpu else _PREFILL_TOKENS_GPU
        self._prefill_tokens = int(spec.options.get("prefill_tokens", default))
        self._cache = BatchCache(spec.slots, self._device)
        self._reading: deque[_Answer] = deque()
        self._writing: list[_Answer] = []  # in the order of the cache's rows

    def admit(self, job: Job) -> bool:
        if len(self._reading) + len(self._writing) >= self._spec.slots:
            return False
        self._reading.append(self._answer(job))
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._reading or self._writing else None

    @torch.inference_mode()
    def step(self) -> list[Event]:
        """One token for every answer in the batch, and a chunk of the prompts still unread."""
        logits: list[torch.Tensor] = []
        events: list[Event] = []
        if self._writing:
            try:
                logits.append(self._write())
            except torch.OutOfMemoryError:
                return [self._out_of_memory(self._writing[-1])]
        unread = self._prefill_tokens
        while self._reading and unread > 0:
            answer = self._reading.popleft()
            try:
                unread -= self._read(answer, unread, logits)
            except torch.OutOfMemoryError:
                events.append(self._out_of_memory(answer))
        if not logits:
            return events
        tokens = pick(torch.cat(logits), [answer.choice for answer in self._writing])
        for answer, token in zip(tuple(self._writing), tokens, strict=True):
            events += answer.push(token)
            if answer.ended:
                self._leave(answer)
        return events

    @torch.inference_mode()
    def drop(self, job_id: str) -> None:
        for answer in (*self._reading, *self._writing):
            if answer.job_id == job_id:
                self._leave(answer)

    def close(self) -> None:
        self._reading.clear()
        self._writing.clear()
        del self._model, self._cache
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def _write(self) -> torch.Tensor:
        """Run every row's last token; returns the logits [rows, vocabulary] after it."""
        last = torch.tensor([[answer.last] for answer in self._writing], device=self._device)
        mask, positions = self._cache.next_token()
        if self._vision:
            positions += torch.tensor([[one.shift] for one in self._writing], device=self._device)
        logits = self._forward(last, self._cache, mask, positions)
        self._cache.advance()
        return logits

    def _read(self, answer: _Answer, limit: int, logits: list[torch.Tensor]) -> int:
        """Read at most ``limit`` tokens of a prompt; returns how many were read.

        A prompt read to its end joins the batch, and ``logits`` gets its row. Another waits for
        its next turn behind the other prompts, so a long one does not hold up short ones.
        """
        chunk = answer.prompt if answer.images else answer.prompt[answer.read :][:limit]
        ids = torch.tensor([chunk], device=self._device)
        if answer.images:
            row = self._forward(ids, answer.cache, None, None, answer.images)
            answer.shift = take_shift(self._model)
            answer.images = {}
        else:
            positions = torch.arange(answer.read, answer.read + len(chunk), device=self._device)
            row = self._forward(ids, answer.cache, None, positions[None])
        answer.read += len(chunk)
        if answer.read < len(answer.prompt):
            self._reading.append(answer)
        else:
            self._cache.join(answer.cache)
            answer.cache = DynamicCache()
            self._writing.append(answer)
            logits.append(row)
        return len(chunk)

    def _forward(
        self,
        ids: torch.Tensor,
        cache: Cache,
        mask: torch.Tensor | None,
        positions: torch.Tensor | None,
        images: Tensors | None = None,
    ) -> torch.Tensor:
        inputs = {
            **{name: value.to(self._device) for name, value in (images or {}).items()},
            "input_ids": ids,
            "attention_mask": mask,
            "position_ids": positions,
            "past_key_values": cache,
            "use_cache": True,
            "logits_to_keep": 1,
        }
        taken = {name: value for name, value in inputs.items() if name in self._accepts}
        logits: torch.Tensor = self._model(**taken).logits
        return logits[:, -1].float()

    def _leave(self, answer: _Answer) -> None:
        if answer in self._reading:
            self._reading.remove(answer)
            return
        row = self._writing.index(answer)
        self._cache.leave(row)
        self._writing[row] = self._writing[-1]
        self._writing.pop()

    def _out_of_memory(self, answer: _Answer) -> Event:
        """Give up one answer so that the others can go on."""
        if answer in self._reading or answer in self._writing:
            self._leave(answer)
        answer.cache = DynamicCache()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        error = OutOfMemory(f"{self._device} has no memory left for this request; try again later")
        return Failed(job=answer.job_id, error=error.info())

    def _answer(self, job: Job) -> _Answer:
        if not isinstance(job.input, ChatInput):
            raise InvalidRequest(f"model {self._spec.name} answers chat requests only")
        prompt, images = self._prompt(job.input.messages)
        if len(prompt) > self._spec.max_prompt_tokens:
            raise ContextTooLong(
                f"the messages have {len(prompt)} tokens and this model takes at most "
                f"{self._spec.max_prompt_tokens}; shorten them",
                param="messages",
            )
        room = self._context_tokens - len(prompt)
        if room < 1:
            raise ContextTooLong(
                f"the messages have {len(prompt)} tokens, which leaves no room for an answer in "
                f"the model's context of {self._context_tokens}; shorten them",
                param="messages",
            )
        sampling = job.input.sampling
        return _Answer(
            job_id=job.id,
            prompt=prompt,
            images=images,
            limit=min(sampling.max_tokens, room),
            choice=Choice(sampling, self._device),
            stream=TextStream(self._decode, sampling.stop),
            eos=self._eos,
        )

    def _prompt(self, messages: list[Message]) -> tuple[list[int], Tensors]:
        if self._vision:
            return self._vision.lay_out(messages)
        turns = [{"role": message.role, "content": message.text} for message in messages]
        try:
            text = self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True
            )
        except (jinja2.TemplateError, TypeError) as error:
            raise InvalidRequest(
                f"the model's chat template refuses these messages: {error}", param="messages"
            ) from error
        # The template writes the special tokens itself, the one that begins a text included.
        ids: list[int] = self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids
        if not ids:
            raise InvalidRequest("the messages are empty; write something", param="messages")
        return ids, {}

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text


def _vision(spec: Spec, loaded: ChatModel) -> VisionPrompts | None:
    if loaded.processor is None:
        return None
    max_pixels = int(spec.options.get("image_pixels", TOKEN_PIXELS))
    return VisionPrompts(loaded.processor, loaded.model.dtype, max_pixels)


class _Answer:
    """One request: how far its prompt is read, then how far its text is written."""

    def __init__(
        self,
        *,
        job_id: str,
        prompt: list[int],
        images: Tensors,
        limit: int,
        choice: Choice,
        stream: TextStream,
        eos: frozenset[int],
    ) -> None:
        self.job_id = job_id
        self.prompt = prompt
        self.images = images  # what the model takes beside the prompt, until it is read
        self.shift = 0  # of the positions that follow the prompt
        self.choice = choice
        self.cache = DynamicCache()  # the prompt's, until it joins the batch
        self.read = 0
        self.last = -1  # the newest token, not run through the model yet
        self.ended = False
        self._limit = limit
        self._stream = stream
        self._eos = eos
        self._written = 0
        self._unsent = 0  # tokens whose text is still held back

    def push(self, token: int) -> list[Event]:
        """Take the next token; returns what can be sent now."""
        self.last = token
        self._written += 1
        if token in self._eos:
            return self._end("stop")
        self._unsent += 1
        text = self._stream.push([token])
        if self._stream.stopped:
            return self._end("stop", text)
        if self._written >= self._limit:
            return self._end("length", text)
        return self._delta(text)

    def _delta(self, text: str) -> list[Event]:
        if not text:
            return []
        tokens, self._unsent = self._unsent, 0
        return [Delta(self.job_id, text, tokens)]

    def _end(self, finish: Finish, text: str = "") -> list[Event]:
        self.ended = True
        text += self._stream.finish()
        if self._stream.stopped:
            finish = "stop"
        usage = Usage(prompt_tokens=len(self.prompt), completion_tokens=self._written)
        return [*self._delta(text), Done(self.job_id, ChatResult(finish=finish, usage=usage))]
