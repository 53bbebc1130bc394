"""Files of the Hugging Face hub: which a repository has, and a way to fetch one that goes on where
it was interrupted, in another process too, and looks at what has come.

The hub's own client begins a file anew in each process (huggingface_hub 2.4), so only its
addresses, its session and its errors are used.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import httpx2

from supervisor.config.errors import words
from supervisor.models.archive import CHUNK_BYTES, FetchError, UnreachedError, digest

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

TIMEOUT_S = 30.0
SEARCH_TIMEOUT_S = 5.0  # to connect, and between two pieces of the answer
# How often a transfer that brought nothing is tried again, and how long it waits before.
TRIES = 5
WAIT_S = 1.0
_PART = ".part"
# How far one of several downloads is: bytes on the disk, more or fewer than before.
Count = Callable[[int], None]


class HubFile(NamedTuple):
    """``sha256`` is what the hub has for large files, ``git`` the SHA-1 by which it has others."""

    name: str
    size: int
    sha256: str = ""
    git: str = ""


class Listing(NamedTuple):
    """What a repository has at a ``commit``; ``parameters`` as the hub counts them, or 0."""

    repo: str
    commit: str
    files: list[HubFile]
    parameters: int = 0


def listing(repo: str, revision: str, token: str | None) -> Listing:
    """Raises `FetchError`."""
    from huggingface_hub import HfApi

    with told(repo, revision):
        info = HfApi(token=token or False).model_info(
            repo, revision=revision, files_metadata=True, timeout=TIMEOUT_S
        )
    files = [
        HubFile(
            name=one.rfilename,
            size=one.size or 0,
            sha256=one.lfs.sha256 if one.lfs else "",
            git="" if one.lfs else one.blob_id or "",
        )
        for one in info.siblings or []
    ]
    parameters = int(getattr(info.safetensors, "total", 0) or 0)
    return Listing(repo, info.sha or revision, files, parameters)


def search(words: str, most: int, facts: Sequence[str], token: str | None) -> list[ModelInfo]:
    """The models that the hub finds by these words, the most fetched ones first, with those
    ``facts`` of each. Asked once: somebody waits for it. Raises `FetchError`."""
    from huggingface_hub import ModelInfo, constants, get_session
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    query: dict[str, str | int | Sequence[str]] = {
        "search": words,
        "sort": "downloads",
        "limit": most,
        "expand": list(facts),
    }
    with _told_of_search():
        answer = get_session().get(
            f"{constants.ENDPOINT}/api/models",
            params=query,
            headers=build_hf_headers(token=token or False),
            timeout=SEARCH_TIMEOUT_S,
        )
        hf_raise_for_status(answer)
        return [
            ModelInfo(**{"siblings": None, **one})  # type: ignore[no-untyped-call]
            for one in answer.json()
        ]


def fetch(
    here: Listing,
    file: HubFile,
    target: Path,
    token: str | None,
    count: Count,
    stop: threading.Event,
) -> str:
    """Have ``file`` in ``target``, of which ``<target>.part`` has the beginning until it is whole.
    Returns its SHA-256. Raises `FetchError`; if its bytes are others than the hub's, nothing of it
    is left."""
    if target.is_file() and target.stat().st_size == file.size:
        count(file.size)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + _PART)
        with told(here.repo, here.commit):
            _Transfer(here, file, part, token, count, stop).run()
        part.replace(target)
    found = digest(target, f"checking {file.name}", _silent)
    if file.sha256 not in ("", found) or file.git not in ("", _git_digest(target)):
        target.unlink()
        count(-file.size)
        raise FetchError(
            f"hf:{here.repo}: {file.name} has come with other bytes than the hub has; pull it again"
        )
    return found


def beginning(here: Listing, name: str, size: int, token: str | None) -> bytes:
    """The first ``size`` bytes of a file, or all of it. Raises `FetchError`."""
    found = b""
    with told(here.repo, here.commit), _opened(here, name, token, f"0-{size - 1}") as answer:
        for part in answer.iter_bytes():
            found += part
            if len(found) >= size:
                break
    return found[:size]


@contextlib.contextmanager
def told(repo: str, revision: str) -> Iterator[None]:
    """What the hub's client raises in the block is raised as a `FetchError` in our words."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError:
        raise FetchError(
            f"hf:{repo} asks for consent: accept its terms on its page, then set HF_TOKEN"
        ) from None
    except errors.RepositoryNotFoundError:
        raise FetchError(f"hf:{repo} does not exist, or is private: then set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise FetchError(f"hf:{repo} has no revision {revision!r}") from None
    except errors.OfflineModeIsEnabled:
        raise FetchError(f"hf:{repo}: HF_HUB_OFFLINE is set; unset it to pull") from None
    except (errors.HfHubHTTPError, httpx2.HTTPError, httpx2.InvalidURL) as error:
        kind = UnreachedError if _passes(error) else FetchError
        raise kind(f"hf:{repo} cannot be downloaded: {_first_sentence(error)}") from None


@contextlib.contextmanager
def _told_of_search() -> Iterator[None]:
    """As `told`, where no repository is meant."""
    from huggingface_hub import constants, errors

    try:
        yield
    except errors.OfflineModeIsEnabled:
        raise FetchError("HF_HUB_OFFLINE is set; unset it to search the hub") from None
    except (errors.HfHubHTTPError, httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        kind = UnreachedError if _passes(error) else FetchError
        why = _first_sentence(error)
        raise kind(f"the hub at {constants.ENDPOINT} cannot be searched: {why}") from None


def _passes(error: Exception) -> bool:
    """Whether it is the network's trouble or the hub's: no answer, too many requests, a 5xx."""
    answer = getattr(error, "response", None)
    if answer is None:
        return isinstance(error, httpx2.TransportError)
    return bool(answer.status_code == httpx2.codes.TOO_MANY_REQUESTS or answer.is_server_error)


class _Transfer:
    """Fills ``part`` up to the size of the file, however often the line breaks."""

    def __init__(
        self,
        here: Listing,
        file: HubFile,
        part: Path,
        token: str | None,
        count: Count,
        stop: threading.Event,
    ) -> None:
        self._here = here
        self._file = file
        self._part = part
        self._token = token
        self._count = count
        self._stop = stop

    def run(self) -> None:
        """Raises `FetchError` if it is to stop, and as the hub's client does."""
        if self._had() > self._file.size:
            self._part.unlink()
        self._count(self._had())
        self._part.touch()
        tries = 0
        while (before := self._had()) < self._file.size:
            if self._stop.is_set():
                raise FetchError(f"hf:{self._here.repo}: {self._file.name} was interrupted")
            try:
                self._go_on(before)
            except httpx2.TransportError:
                tries = 0 if self._had() > before else tries + 1
                if tries >= TRIES:
                    raise
                self._stop.wait(WAIT_S * 2**tries)

    def _had(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _go_on(self, had: int) -> None:
        span = f"{had}-"
        with (
            _opened(self._here, self._file.name, self._token, span) as answer,
            self._part.open("ab") as out,
        ):
            if had and answer.status_code != httpx2.codes.PARTIAL_CONTENT:
                self._count(-had)  # it sends all of it
                out.truncate(0)
                had = 0
            for chunk in answer.iter_bytes(CHUNK_BYTES):
                had += len(chunk)
                if had > self._file.size:
                    raise FetchError(
                        f"hf:{self._here.repo}: {self._file.name} is larger than the hub says"
                    )
                out.write(chunk)
                self._count(len(chunk))
                if self._stop.is_set():
                    return


@contextlib.contextmanager
def _opened(here: Listing, name: str, token: str | None, span: str) -> Iterator[httpx2.Response]:
    from huggingface_hub import get_session, hf_hub_url
    from huggingface_hub.utils import (  # type: ignore[attr-defined]
        build_hf_headers,
        hf_raise_for_status,
    )

    url = hf_hub_url(here.repo, name, revision=here.commit)
    headers = {
        **build_hf_headers(token=token or False),
        "range": f"bytes={span}",
        "accept-encoding": "identity",  # a range counts the bytes of the file itself
    }
    with get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as answer:
        hf_raise_for_status(answer)
        yield answer


def _git_digest(path: Path) -> str:
    whole = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(CHUNK_BYTES):
            whole.update(part)
    return whole.hexdigest()


def _silent(_label: str, _done: int, _total: int) -> None:
    return


def _first_sentence(error: BaseException) -> str:
    """The innermost cause, which names the real trouble; the outer ones guess."""
    while error.__cause__ is not None:
        error = error.__cause__
    return words(error)[:200]
