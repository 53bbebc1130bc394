"""From messages to tokens and back, apart from the engine's thread, which never waits for a
tokenizer while there is something to compute."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

import jinja2

from ipc.errors import InvalidRequest
from ipc.types import ChatInput, Job, Message, Spec
from worker.engines.lengths import no_room, too_long
from worker.engines.torch_vision import Tensors, VisionPrompts

# The engine looks for mail at least this often, even if it has nothing but prompts to wait for.
_WAIT_S = 0.02


class Prompt(NamedTuple):
    """``images`` is what the model takes beside the tokens, still off the device."""

    tokens: list[int]
    images: Tensors


class Prompts:
    """Lays out one prompt after the other in a thread of its own, in the order they came."""

    def __init__(
        self, spec: Spec, tokenizer: Any, vision: VisionPrompts | None, context_tokens: int
    ) -> None:
        self._spec = spec
        self._tokenizer = tokenizer
        self._vision = vision
        self._context_tokens = context_tokens
        # A first call settles how the tokenizer cuts and pads; later ones change nothing about it,
        # so that two threads can use it at once.
        tokenizer("", add_special_tokens=False)
        self._words: dict[int, str] = {}
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

    def decode(self, tokens: list[int]) -> str:
        """The text of ``tokens``. Half of all calls are for one token, and those are kept."""
        if len(tokens) > 1:
            return self._text(tokens)
        if not tokens:
            return ""
        word = self._words.get(tokens[0])
        if word is None:
            word = self._words[tokens[0]] = self._text(tokens)
        return word

    def _text(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

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
        if self._vision:
            return Prompt(*self._vision.lay_out(messages))
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
        return Prompt(ids, {})
