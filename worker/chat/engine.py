"""The chat core: everything of a chat that is not a matter of the library which runs the model."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait

from ipc.messages.errors import InternalError, ServeError
from ipc.messages.events import Event, Failed
from ipc.messages.jobs import Job
from ipc.messages.spec import Loaded, Spec
from worker.chat.generation import Generation
from worker.chat.grammar import grammar_of
from worker.chat.prompt import Prompts, chat_of
from worker.chat.prompt_limits import room_for_answer
from worker.chat.token_engine import TokenEngine, TokenModel, TokenRequest, Written
from worker.engine import Engine, Stage

logger = logging.getLogger(__name__)

# The loop looks for mail at least this often, even if there are only prompts to wait for.
_WAIT_S = 0.02


class TokenChat(Engine):
    """An `Engine` for chats, made of a `TokenEngine`."""

    def __init__(self, tokens: TokenEngine) -> None:
        self._tokens = tokens
        self._answers: dict[str, Generation] = {}  # of all requests that the token engine has
        self._preparing: dict[str, Future[TokenRequest]] = {}  # in the order they came
        self._thread: ThreadPoolExecutor | None = None

    def load(self, spec: Spec, stage: Stage) -> Loaded:
        self._spec = spec
        self._model: TokenModel = self._tokens.load(spec, stage)
        if self._model.prompts_apart:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="tokenizer")
        return self._model.loaded

    @property
    def prompts(self) -> Prompts:
        """How the model's prompts are laid out."""
        return self._model.prompts

    def admit(self, job: Job) -> bool:
        if len(self._preparing) + len(self._answers) >= self._spec.slots:
            return False
        if self._thread is None:
            return self._begin(self._request(job))
        self._preparing[job.id] = self._thread.submit(self._request, job)
        return True

    def wait_s(self) -> float | None:
        return 0.0 if self._preparing or self._answers else None

    def step(self) -> list[Event]:
        events = self._begin_prepared()
        if self._answers:
            for written in self._tokens.step():
                events += self._read(written)
        return events

    def drop(self, job_id: str) -> None:
        preparing = self._preparing.pop(job_id, None)
        if preparing is not None:
            preparing.cancel()
        if self._answers.pop(job_id, None) is not None:
            self._tokens.drop(job_id)

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)
        for job_id in tuple(self._answers):
            self.drop(job_id)
        self._tokens.close()

    def _request(self, job: Job) -> TokenRequest:
        """Raises `InvalidRequest`, or `ContextTooLong`."""
        asked = chat_of(job.input, self._spec)
        prompt = self._model.prompts.lay_out(asked.messages)
        room = room_for_answer(
            len(prompt.tokens), self._spec.max_prompt_tokens, self._model.context_tokens
        )
        limit = min(asked.sampling.max_tokens, room)
        return TokenRequest(job.id, prompt, asked.sampling, limit, grammar_of(asked))

    def _begin(self, request: TokenRequest) -> bool:
        if not self._tokens.begin(request):
            return False
        prompts = self._model.prompts
        self._answers[request.job_id] = Generation(
            request.job_id,
            request.sampling,
            prompt_tokens=len(request.prompt.tokens),
            limit=request.limit,
            vocabulary=prompts.vocabulary,
            parser=prompts.dialect.parser(),
            ends=self._model.ends,
        )
        return True

    def _begin_prepared(self) -> list[Event]:
        """Begin what is laid out by now, first come, first served. Waits a little for the first
        one where there is nothing else to do."""
        if self._preparing and not self._answers:
            wait([next(iter(self._preparing.values()))], timeout=_WAIT_S)
        events: list[Event] = []
        for job_id, prepared in tuple(self._preparing.items()):
            if not prepared.done():
                break
            try:
                if not self._begin(prepared.result()):
                    break
            except ServeError as error:
                events.append(Failed(job=job_id, error=error.info()))
            except Exception:
                logger.exception("prompt_failed", extra={"job": job_id})
                broken = InternalError("the model could not take this request")
                events.append(Failed(job=job_id, error=broken.info()))
            del self._preparing[job_id]
        return events

    def _read(self, written: Written) -> list[Event]:
        generation = self._answers.get(written.job_id)
        if generation is None:  # it is over since
            return []
        if written.error is not None:
            self.drop(written.job_id)
            return [Failed(job=written.job_id, error=written.error.info())]
        events = generation.push(written.tokens, written.finish)
        if generation.ended:
            self.drop(written.job_id)
        return events
