"""Work that is not a step's: done in a thread of its own, one piece after the other."""

from __future__ import annotations

import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from ipc.messages.errors import InternalError, ServeError

logger = logging.getLogger(__name__)

Made = TypeVar("Made")
# The loop looks for mail at least this often, even if there is only work apart to wait for.
_WAIT_S = 0.02


class Apart(Generic[Made]):
    """Work by the names of who asked, in the order in which it was begun. Its thread has a
    ``name``, and starts with the first; with ``at_once`` there is none, and work is done as it is
    begun."""

    def __init__(self, name: str, *, at_once: bool = False) -> None:
        self._name = name
        self._at_once = at_once
        self._thread: Executor | None = None
        self._begun: dict[str, Future[Made]] = {}

    def __bool__(self) -> bool:
        return bool(self._begun)

    def begin(self, asker: str, work: Callable[[], Made]) -> None:
        """Have ``work`` done. A `ServeError` that it raises is the asker's."""
        self._begun[asker] = _done(work) if self._at_once else self._started().submit(work)

    def ready(self, *, wait_a_little: bool) -> list[tuple[str, Made | ServeError]]:
        """What is done by now, or what was wrong with it, in order."""
        if self._begun and wait_a_little:
            wait([next(iter(self._begun.values()))], timeout=_WAIT_S)
        done: list[tuple[str, Made | ServeError]] = []
        for asker, future in tuple(self._begun.items()):
            if not future.done():
                break
            del self._begun[asker]
            done.append((asker, self._result(future, asker)))
        return done

    def drop(self, asker: str) -> None:
        """Nobody waits for it. Unknown names are fine."""
        future = self._begun.pop(asker, None)
        if future is not None:
            future.cancel()

    def close(self) -> None:
        if self._thread is not None:
            self._thread.shutdown(cancel_futures=True)

    def _started(self) -> Executor:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=self._name)
        return self._thread

    def _result(self, future: Future[Made], asker: str) -> Made | ServeError:
        try:
            return future.result()
        except ServeError as error:
            return error
        except Exception:
            logger.exception("work_apart_failed", extra={"of": self._name, "asker": asker})
            return InternalError("the model could not take this request")


def _done(work: Callable[[], Made]) -> Future[Made]:
    future: Future[Made] = Future()
    try:
        future.set_result(work())
    except Exception as error:
        future.set_exception(error)
    return future
