"""What a model's tokenizer is asked beside its chats. No answer takes a slot."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from ipc.messages.errors import InternalError, ServeError
from ipc.messages.events import Done, Event, Failed, Token, TokenizeResult
from ipc.messages.jobs import TokenizeInput
from worker.chat.prompt import Offered, Prompts
from worker.chat.vocabulary import Vocabulary

logger = logging.getLogger(__name__)


class Asides:
    """Questions by their jobs, in the order they came. They are answered in ``thread`` where there
    is one, as prompts are laid out there."""

    def __init__(self, prompts: Prompts, thread: ThreadPoolExecutor | None) -> None:
        self._prompts = prompts
        self._thread = thread
        self._answers: dict[str, Future[TokenizeResult]] = {}

    def __bool__(self) -> bool:
        return bool(self._answers)

    def ask(self, job_id: str, asked: TokenizeInput) -> None:
        """Raises `InvalidRequest`, or says so later."""
        if self._thread is not None:
            self._answers[job_id] = self._thread.submit(tokenized, asked, self._prompts)
            return
        answer: Future[TokenizeResult] = Future()
        answer.set_result(tokenized(asked, self._prompts))
        self._answers[job_id] = answer

    def collect(self, wait_s: float) -> list[Event]:
        """What is answered by now, waiting at most ``wait_s`` for the first."""
        if self._answers and wait_s:
            wait([next(iter(self._answers.values()))], timeout=wait_s)
        done = [(name, answer) for name, answer in self._answers.items() if answer.done()]
        for name, _ in done:
            del self._answers[name]
        return [_ended(name, answer) for name, answer in done]

    def drop(self, job_id: str) -> None:
        """Forget a job. Unknown ids are fine."""
        answer = self._answers.pop(job_id, None)
        if answer is not None:
            answer.cancel()


def tokenized(asked: TokenizeInput, prompts: Prompts) -> TokenizeResult:
    """The answer to ``asked``. Raises `InvalidRequest`."""
    vocabulary = prompts.vocabulary
    if asked.ids is not None:
        ids = prompts.raw.known(asked.ids, "tokens")
        text = _text(ids, vocabulary)
        if vocabulary.drops_first_space:
            text = text.removeprefix(" ")
        return TokenizeResult(rows=[_row(ids, vocabulary)], text=text)
    if asked.chat is not None:
        prompt = prompts.lay_out(asked.chat.messages, Offered.by(asked.chat))
        row = _row(prompt.tokens, vocabulary)
        return TokenizeResult(rows=[row], text=_text(prompt.tokens, vocabulary))
    rows = (
        prompts.raw.tokens(text, begins=asked.begins, reads_control=asked.reads_control)
        for text in asked.texts
    )
    return TokenizeResult(rows=[_row(row, vocabulary) for row in rows])


def _row(ids: Sequence[int], vocabulary: Vocabulary) -> list[Token]:
    return [_token(one, vocabulary) for one in ids]


def _text(ids: Sequence[int], vocabulary: Vocabulary) -> str:
    return b"".join(_token(one, vocabulary).data for one in ids).decode(errors="replace")


def _token(one: int, vocabulary: Vocabulary) -> Token:
    name = vocabulary.name(one)
    if name is None:
        return Token(one, vocabulary.text_bytes(one))
    return Token(one, name.encode(), control=True)


def _ended(job_id: str, answer: Future[TokenizeResult]) -> Event:
    try:
        return Done(job_id, answer.result())
    except ServeError as error:
        return Failed(job=job_id, error=error.info())
    except Exception:
        logger.exception("tokenizer_failed", extra={"job": job_id})
        broken = InternalError("the model's tokenizer could not take this request")
        return Failed(job=job_id, error=broken.info())
