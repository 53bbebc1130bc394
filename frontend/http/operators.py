"""Who may manage this server: a key with the role admin, or without keys who is on this machine.

Never a web page of another site, whatever it knows: its visitor has not meant to ask.
"""

from __future__ import annotations

from starlette.types import Scope

from frontend.http.access import host_name
from frontend.http.request_context import RequestContext, is_forwarded
from frontend.http.sites import is_cross_site
from ipc.loopback import is_loopback
from ipc.messages.errors import AdminRequired, CrossSite


def check_operator(scope: Scope, *, with_keys: bool) -> None:
    """Raises `AdminRequired` and `CrossSite`. ``with_keys``: this server has API keys, one of which
    has been checked by now."""
    if is_cross_site(scope):
        raise CrossSite("pages of another site may not manage this server")
    if with_keys:
        if not RequestContext.of(scope).client.admin:
            raise AdminRequired("this needs an API key with the role admin, as name:secret:admin")
        return
    if is_forwarded(scope):
        raise AdminRequired(
            "this request came through a proxy, so anybody may have sent it; give this server API "
            "keys, one with the role admin"
        )
    if not RequestContext.of(scope).client.admin:
        raise AdminRequired(
            "without API keys only this machine itself may ask for this; give this server keys, "
            "one with the role admin"
        )
    if not is_loopback(host_name(scope)):
        # A page whose own name is made to resolve to this machine says that name.
        raise AdminRequired("ask for 127.0.0.1 or localhost, or give this server API keys")
