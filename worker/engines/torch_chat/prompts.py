"""From messages to tokens, apart from the engine's thread, which never waits for a
tokenizer while there is something to compute."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import NamedTuple

from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import ChatInput, Job, Message
from ipc.messages.spec import Spec
from worker.chat.prompt import Layout
from worker.chat.prompt_limits import no_room, too_long
from worker.engines.torch_chat.vision import Tensors, VisionPrompts

# The engine looks for mail at least this often, even if it has nothing but prompts to wait for.
_WAIT_S = 0.02


class Prompt(NamedTuple):
    """``images`` is what the model takes beside the tokens, still off the device."""

    tokens: list[int]
    images: Tensors


class Prompts:
    """Lays out one prompt after the other in a thread of its own, in the order they came."""

    def __init__(self, spec: Spec, layout: Layout | VisionPrompts, context_tokens: int) -> None:
        self._spec = spec
        self._layout = layout
        self._context_tokens = context_tokens
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")

    def begin(self, job: Job) -> Future[Prompt]:
        """Have the prompt of ``job`` laid out; the result may be a `ServeError`."""
        return self._thread.submit(self._lay_out, job)

    @staticmethod
    def wait(prompt: Future[Prompt]) -> None:
        """Wait a little for ``prompt``, when there is nothing else to do."""
        wait([prompt], timeout=_WAIT_S)

    def close(self) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _lay_out(self, job: Job) -> Prompt:
        if not isinstance(job.input, ChatInput):
            raise InvalidRequest(f"model {self._spec.name} answers chat requests only")
        prompt = self._prompt(job.input.messages)
        count, limit = len(prompt.tokens), self._spec.max_prompt_tokens
        if count > limit:
            raise too_long(count, limit)
        if count >= self._context_tokens:
            raise no_room(count, self._context_tokens)
        return prompt

    def _prompt(self, messages: list[Message]) -> Prompt:
        if isinstance(self._layout, VisionPrompts):
            return Prompt(*self._layout.lay_out(messages))
        return Prompt(self._layout.tokens(messages), {})
