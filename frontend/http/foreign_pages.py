"""What pages of other sites may send this server: what a browser lets any page send without asking
first, and what this server takes from pages it has been told of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from starlette.types import Scope

from frontend.http.request_context import is_forwarded
from frontend.http.sites import OWN_SITE, is_cross_site
from ipc.messages.errors import CrossSite


class Origins:
    """Pages that may use this server, each as an origin, ``https://*.name``, ``http://name:*`` or
    ``*``, which is any."""

    def __init__(self, patterns: Iterable[str]) -> None:
        given = list(patterns)
        self.named = [origin for origin in given if not _is_pattern(origin)]
        self.expression = _one_of(filter(_is_pattern, given))

    def allows(self, origin: str) -> bool:
        if "*" in self.named or origin in self.named:
            return True
        return self.expression is not None and bool(re.fullmatch(self.expression, origin))


class ForeignPages:
    """Keeps them out, but for those of origins that ``is_allowed``. Who says nothing of where it
    comes from is no page: browsers do."""

    def __init__(self, is_allowed: Callable[[str], bool]) -> None:
        self._is_allowed = is_allowed

    def check(self, scope: Scope) -> None:
        """Raises `CrossSite`."""
        headers = dict(scope["headers"])
        site = headers.get(b"sec-fetch-site")
        # A proxy may have put its own name for the one that the browser asked.
        if site in OWN_SITE or (site is None and is_forwarded(scope)):
            return
        origin = headers.get(b"origin", b"").decode("latin-1")
        if is_cross_site(scope) and not self._is_allowed(origin):
            raise CrossSite(
                "pages of other sites may not ask this server for this; if this one may, add its "
                "origin to CORS_ALLOW_ORIGINS"
            )


class ForeignForms(ForeignPages):
    """The same for forms and sockets alone: what a browser lets any page make without asking first,
    and a socket's answers it lets any page read. JSON it has to ask for, and keys it does not
    have."""

    def check(self, scope: Scope) -> None:
        """Raises `CrossSite`."""
        kind = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
        if kind.lower().startswith(b"multipart/") or "socket" in scope:
            super().check(scope)


def _is_pattern(origin: str) -> bool:
    return "*" in origin and origin != "*"


def _one_of(patterns: Iterable[str]) -> str | None:
    """The origins that match ``https://*.name`` or ``http://name:*``, as a regular expression."""
    forms = (
        re.escape(pattern).replace(r"://\*", r"://[^/:@]+").replace(r":\*", r"(:\d+)?")
        for pattern in patterns
    )
    return "|".join(forms) or None
