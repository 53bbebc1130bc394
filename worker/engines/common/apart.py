"""Work that is not a step's: done in a thread of its own, one piece after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from ipc.messages.errors import InternalError, ServeError

logger = logging.getLogger(__name__)

Made = TypeVar("Made")
# The loop looks for mail at least this often, even if there is only work apart to wait for.
_WAIT_S = 0.02


class Apart(Generic[Made]):
    """Work for requests, in the order in which it was begun. The thread starts with the first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._begun: dict[str, Future[Made]] = {}  # by request

    def __bool__(self) -> bool:
        return bool(self._begun)

    def begin(self, request_id: str, work: Callable[[], Made]) -> None:
        """Have ``work`` done. A `ServeError` that it raises is the request's."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        self._begun[request_id] = self._thread.submit(work)

    def ready(self, *, wait_a_little: bool) -> list[tuple[str, Made | ServeError]]:
        """What is done by now, or what was wrong with it, in order."""
        if self._begun and wait_a_little:
            wait([next(iter(self._begun.values()))], timeout=_WAIT_S)
        done: list[tuple[str, Made | ServeError]] = []
        for request_id, future in tuple(self._begun.items()):
            if not future.done():
                break
            del self._begun[request_id]
            done.append((request_id, self._result(future, request_id)))
        return done

    def drop(self, request_id: str) -> None:
        """Nobody waits for it. Unknown ids are fine."""
        future = self._begun.pop(request_id, None)
        if future is not None:
            future.cancel()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _result(self, future: Future[Made], request_id: str) -> Made | ServeError:
        try:
            return future.result()
        except ServeError as error:
            return error
        except Exception:
            logger.exception("work_apart_failed", extra={"request": request_id})
            return InternalError("the model could not take this request")
