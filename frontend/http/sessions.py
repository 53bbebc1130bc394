"""Who has logged in on the page: a cookie stands for the key, which browsers then need not keep.

A browser sends its cookies whoever makes it ask, so a request that has nothing but one must come
from the page itself, and one that changes something must also have the session's own token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.types import Scope

from ipc.messages.control import ApiKey
from ipc.messages.errors import CrossSite

COOKIE = "edge_serve_session"
TOKEN_HEADER = b"x-csrf"
# As long as somebody works in a day.
SESSION_S = 12 * 3600
# All that are open at once; the oldest make room.
MAX_SESSIONS = 256
_CHANGES_NOTHING = {"GET", "HEAD", "OPTIONS"}
# What browsers say of where a request comes from: the page itself, or a person who typed it.
_OWN_SITE = {b"same-origin", b"none"}


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that somebody has logged in with. ``digest`` is that of the key, so that it ends
    with the key; ``token`` is what the page sends along when it changes something."""

    key: str
    digest: str
    token: str
    ends_at: float


class Sessions:
    """Owns them, for as long as this process runs: after it everybody logs in again. Of each
    cookie only a digest is kept."""

    def __init__(
        self, keys: Mapping[str, ApiKey], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._open: dict[str, Session] = {}

    def know(self, keys: Mapping[str, ApiKey]) -> None:
        """These are the keys from now on; whoever logged in by another one is not any more."""
        self._keys = keys

    def open(self, key: str) -> tuple[str, Session]:
        """Somebody has logged in with the key of this name: what the cookie is to hold."""
        secret = secrets.token_urlsafe(32)
        ends_at = self._clock() + SESSION_S
        session = Session(key, self._keys[key].digest, secrets.token_urlsafe(32), ends_at)
        while len(self._open) >= MAX_SESSIONS:
            del self._open[next(iter(self._open))]
        self._open[_digest(secret)] = session
        return secret, session

    def of(self, scope: Scope) -> Session | None:
        """That of a request, whoever made the browser send it."""
        secret = _cookie(scope)
        session = self._open.get(_digest(secret)) if secret else None
        if session is None:
            return None
        key = self._keys.get(session.key)
        if key is None or key.digest != session.digest or self._clock() >= session.ends_at:
            self.close(scope)
            return None
        return session

    def key_of(self, scope: Scope) -> str | None:
        """The name of the key that stands behind a request, if somebody has logged in. Raises
        `CrossSite` where it is another site's doing."""
        session = self.of(scope)
        if session is None:
            return None
        headers = dict(scope["headers"])
        if headers.get(b"sec-fetch-site", b"same-origin") not in _OWN_SITE:
            raise CrossSite("this request comes from another site; a cookie is for the page alone")
        if scope["method"] not in _CHANGES_NOTHING:
            _check_own(headers, session)
        return session.key

    def close(self, scope: Scope) -> None:
        """Whoever sent this is not logged in any more."""
        self._open.pop(_digest(_cookie(scope)), None)


def _check_own(headers: Mapping[bytes, bytes], session: Session) -> None:
    origin = urlsplit(headers.get(b"origin", b"").decode("latin-1")).netloc
    if not origin or origin.lower() != headers.get(b"host", b"").decode("latin-1").lower():
        raise CrossSite("with a cookie, a change needs the Origin of this server's own page")
    if not hmac.compare_digest(headers.get(TOKEN_HEADER, b""), session.token.encode("ascii")):
        raise CrossSite("with a cookie, a change needs the session's token in X-CSRF")


def _cookie(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"cookie":
            try:
                found = SimpleCookie(value.decode("latin-1")).get(COOKIE)
            except CookieError:
                return ""
            return found.value if found is not None else ""
    return ""


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
