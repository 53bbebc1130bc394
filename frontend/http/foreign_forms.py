"""Forms that pages of other sites send: the one kind of request with a body that a browser lets any
page make without asking first. JSON it has to ask for, and keys it does not have."""

from __future__ import annotations

from collections.abc import Callable

from starlette.types import Scope

from frontend.http.request_context import is_forwarded
from frontend.http.sites import OWN_SITE, is_cross_site
from ipc.messages.errors import CrossSite


class ForeignForms:
    """Keeps them out of a server without keys, but for those of origins that ``is_allowed``. Who
    says nothing of where it comes from is no page: browsers do."""

    def __init__(self, is_allowed: Callable[[str], bool]) -> None:
        self._is_allowed = is_allowed

    def check(self, scope: Scope) -> None:
        """Raises `CrossSite`."""
        headers = dict(scope["headers"])
        if not headers.get(b"content-type", b"").lower().startswith(b"multipart/"):
            return
        site = headers.get(b"sec-fetch-site")
        # A proxy may have put its own name for the one that the browser asked.
        if site in OWN_SITE or (site is None and is_forwarded(scope)):
            return
        origin = headers.get(b"origin", b"").decode("latin-1")
        if is_cross_site(scope) and not self._is_allowed(origin):
            raise CrossSite(
                "pages of other sites may not send this server forms; if this one may, add its "
                "origin to CORS_ALLOW_ORIGINS"
            )
