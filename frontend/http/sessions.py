"""Who has logged in on the page: a cookie stands for the key, which browsers then need not keep.

A browser sends its cookies whoever makes it ask, so a request that has nothing but one must come
from the page itself, and one that changes something must also have the session's own token.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from starlette.types import Scope

from frontend.http.sites import OWN_SITE, is_cross_site, is_foreign
from ipc.messages.errors import CrossSite
from ipc.messages.keys import ApiKey

_COOKIE = "edge_serve_session"
TOKEN_HEADER = b"x-csrf"
# As long as somebody works in a day.
SESSION_S = 12 * 3600
# All that are open at once; those of the key that has the most make room, the oldest first.
MAX_SESSIONS = 256
_CHANGES_NOTHING = {"GET", "HEAD", "OPTIONS"}


@dataclass(frozen=True, slots=True)
class Session:
    """One browser that somebody has logged in with. ``digest`` is that of the key, so that it ends
    with the key; ``token`` is what the page sends along when it changes something."""

    key: str
    digest: str
    token: str
    ends_at: float


def cookie_name(scope: Scope) -> str:
    """What the cookie is called. Browsers keep the cookies of a host for all of its ports, and each
    server has its own: so the port that was asked, where there is one, is part of the name."""
    _, port = scope.get("server") or (None, None)
    return _COOKIE if port is None else f"{_COOKIE}_{port}"


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
            self._make_room()
        self._open[_digest(secret)] = session
        return secret, session

    def of(self, scope: Scope) -> Session | None:
        """That of a request, whoever made the browser send it."""
        found = (self._open.get(_digest(secret)) for secret in _cookies(scope))
        session = next(filter(None, found), None)
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
        fetched = headers.get(b"sec-fetch-site", b"same-origin")
        if fetched not in OWN_SITE or ("socket" in scope and is_cross_site(scope)):
            raise CrossSite("this request comes from another site; a cookie is for the page alone")
        if scope["method"] not in _CHANGES_NOTHING:
            _check_own(headers, session)
        return session.key

    def close(self, scope: Scope) -> None:
        """Whoever sent this is not logged in any more."""
        for secret in _cookies(scope):
            self._open.pop(_digest(secret), None)

    def _make_room(self) -> None:
        count = Counter(session.key for session in self._open.values())
        most, _ = count.most_common(1)[0]
        oldest = next(digest for digest, session in self._open.items() if session.key == most)
        del self._open[oldest]


def _check_own(headers: Mapping[bytes, bytes], session: Session) -> None:
    host = headers.get(b"host", b"")
    if not host or is_foreign(headers.get(b"origin", b""), host):
        raise CrossSite("with a cookie, a change needs the Origin of this server's own page")
    if not hmac.compare_digest(headers.get(TOKEN_HEADER, b""), session.token.encode("ascii")):
        raise CrossSite("with a cookie, a change needs the session's token in X-CSRF")


def _cookies(scope: Scope) -> Iterator[str]:
    """The values of all that have our name. A browser sends the cookies of whatever else is served
    from this host, at any port, whose form may be anything."""
    own = cookie_name(scope)
    for name, value in scope["headers"]:
        if name == b"cookie":
            for pair in value.decode("latin-1").split(";"):
                key, _, secret = pair.strip().partition("=")
                if key == own:
                    yield secret.strip('"')


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
