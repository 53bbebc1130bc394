"""Fetching what clients name: images of the hosts on the list, and nothing else on any network."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from frontend.api.images import Remote
from frontend.api.remote_images import Address, FetchMetrics, ImageFetcher, is_public_address
from ipc.messages.blob import Blob
from ipc.messages.control import RemoteImages
from ipc.messages.errors import InvalidRequest
from ipc.messages.jobs import Image

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
HOST = "img.example.com"
# Plays the public internet, where the fetcher may go; 127.0.0.1 plays what it must not reach.
PUBLIC = ipaddress.ip_address("127.0.0.2")

connections: list[object] = []


def _watch(event: str, args: tuple[object, ...]) -> None:
    if event == "socket.connect":
        connections.append(args[1])


# Sees every socket of this process that connects to anywhere, by whatever library.
sys.addaudithook(_watch)


class Reply:
    """What the server sends to everybody; it keeps what it was asked."""

    def __init__(self, body: bytes = PNG, status: str = "200 OK", **headers: str) -> None:
        length = headers.pop("length", str(len(body)))
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {length}", "Connection: close"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.data = "\r\n".join([*lines, "", ""]).encode() + body
        self.asked: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
        writer.write(self.data)
        writer.close()


class Never(Reply):
    """A server that accepts and says nothing."""

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()


class Endless(Reply):
    """A server that sends zeros for as long as anybody listens."""

    async def __call__(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b"400\r\n" + bytes(0x400) + b"\r\n")
                await writer.drain()
        writer.close()


@asynccontextmanager
async def listening(reply: Reply, host: str = str(PUBLIC)) -> AsyncIterator[int]:
    """A server on ``host``; yields its port."""
    server = await asyncio.start_server(reply, host, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def public(address: Address) -> bool:
    return address == PUBLIC or is_public_address(address)


class Resolver:
    """Answers with the next of its lists of addresses; the last again and again."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.names: list[str] = []

    async def __call__(self, host: str, _: int) -> list[Address]:
        self.names.append(host)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ipaddress.ip_address(each) for each in answer]


class Fetcher(ImageFetcher):
    """One with metrics of its own."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        is_public: Callable[[Address], bool] = public,
        **limits: Any,
    ) -> None:
        given = {"allowed": True, "hosts": ["example.com"], "timeout_s": 10.0, **limits}
        self.registry = CollectorRegistry()
        super().__init__(
            RemoteImages(**given),
            FetchMetrics(self.registry),
            resolve=resolver or Resolver([str(PUBLIC)]),
            is_public=is_public,
        )

    def count(self, outcome: str) -> float:
        name = "edge_serve_remote_images_total"
        return self.registry.get_sample_value(name, {"outcome": outcome}) or 0.0


def remote(url: str, at: int = 0) -> Remote:
    return Remote(url, f"messages[0].content[{at}].image_url.url", Image(Blob(b"")))


async def refusal(fetcher: ImageFetcher, url: str) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await fetcher.fill([remote(url)])
    return caught.value


REFUSED = (
    "the image at `messages[0].content[0].image_url.url` cannot be fetched; send it as a data URL"
)


# --- what is fetched ---


def test_an_image_of_a_listed_host_is_fetched() -> None:
    async def run() -> None:
        reply = Reply()
        async with listening(reply) as port:
            fetcher, wanted = Fetcher(), remote(f"http://{HOST}:{port}/a/b.png?c=d&e=%20f#part")
            assert await fetcher.fill([wanted]) == len(PNG)
        assert wanted.image.file == Blob(PNG)
        head = reply.asked[0].lower()
        assert head.startswith("get /a/b.png?c=d&e=%20f http/1.1\r\n")
        assert f"host: {HOST}:{port}\r\n" in head
        assert "accept-encoding: identity\r\n" in head
        assert fetcher.count("ok") == 1
        name = "edge_serve_remote_image_bytes_total"
        assert fetcher.registry.get_sample_value(name) == len(PNG)

    asyncio.run(run())


def test_several_images_are_fetched_each_into_its_place() -> None:
    async def run() -> None:
        other = b"\xff\xd8\xff" + bytes(9)
        async with listening(Reply()) as one, listening(Reply(other)) as two:
            wanted = [remote(f"http://{HOST}:{port}/", at) for at, port in enumerate((one, two))]
            await Fetcher().fill(wanted)
        assert [each.image.file.data for each in wanted] == [PNG, other]

    asyncio.run(run())


def test_nothing_to_fetch_is_fine_where_nothing_may_be_fetched() -> None:
    assert asyncio.run(Fetcher(allowed=False).fill([])) == 0


def test_the_limits_are_logged_when_the_client_is_made(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def run() -> None:
        async with listening(Reply()) as port:
            fetcher = Fetcher()
            for _ in range(2):
                await fetcher.fill([remote(f"http://{HOST}:{port}/")])

    asyncio.run(run())
    records = [one for one in caplog.records if one.message == "remote_images_client"]
    assert len(records) == 1
    assert vars(records[0])["timeout_s"] == 10.0


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        trap = Reply()
        async with listening(trap, "127.0.0.1") as proxy, listening(Reply()) as port:
            for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy}")
            assert await Fetcher().fill([remote(f"http://{HOST}:{port}/")])
        assert trap.asked == []

    asyncio.run(run())


# --- what is not ---


def test_without_permission_the_setting_is_named() -> None:
    connections.clear()
    error = asyncio.run(refusal(Fetcher(allowed=False), f"http://{HOST}/"))
    assert "ALLOW_REMOTE_IMAGES" in error.message
    assert connections == []


@pytest.mark.parametrize("host", ["example.org", "evil-example.com", "example.com.evil.org", "com"])
def test_a_host_that_is_not_listed_is_refused_unresolved(host: str) -> None:
    resolver = Resolver([str(PUBLIC)])
    assert asyncio.run(refusal(Fetcher(resolver), f"http://{host}/")).message == REFUSED
    assert resolver.names == []


def test_an_empty_list_refuses_everything() -> None:
    assert asyncio.run(refusal(Fetcher(hosts=[]), f"http://{HOST}/")).message == REFUSED


# Ways to write an address of this machine, or something else that must not be asked, with the port
# of a server that listens on it. The list below allows each of these hosts.
SPELLINGS = [
    "http://127.0.0.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.0000.0000.0001:{port}/",
    "http://0x7f.0.0.1:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7f.1:{port}/",
    "http://127.0.0.0x1:{port}/",
    "http://0:{port}/",
    "http://0.0.0.0:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://localhost:{port}/",
    "http://LOCALHOST:{port}/",
    "http://localhost.:{port}/",
    "http://localhost.localdomain:{port}/",
    "http://[::1]:{port}/",
    "http://[::]:{port}/",
    "http://[0:0:0:0:0:0:0:1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/",
    "http://[::ffff:7f00:1]:{port}/",
    "http://[::127.0.0.1]:{port}/",
    "http://[64:ff9b::127.0.0.1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[::1]example.com:{port}/",
    "http://example.com@127.0.0.1:{port}/",
    "http://example.com:80@127.0.0.1:{port}/",
    "http://user:secret@img.example.com:{port}/",
    "http://127.0.0.1:{port}\\@example.com/",
    "http://127.0.0.1:{port}#@example.com/",
    "http://127.0.0.1:{port}?@example.com/",
    "http:\\\\127.0.0.1:{port}\\",
    "http:/127.0.0.1:{port}/",
    "http:127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://127\uff0e0\uff0e0\uff0e1:{port}/",
    "http://\uff11\uff12\uff17.0.0.1:{port}/",
    "http://\u2460\u2461\u2466.\u24ea.\u24ea.\u2460:{port}/",
    "http://\u0661\u0662\u0667.0.0.1:{port}/",
    "http://\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54:{port}/",
    "http://127.0.0.1%00.example.com:{port}/",
    "http://127%2e0%2e0%2e1:{port}/",
    "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\r\nHost: example.com:{port}/",
    " http://127.0.0.1:{port}/",
    "http://img.example.com:0{port}/",
    "http://img.example.com:{port}:{port}/",
    "http://img.example.com:/",
    "http://img.example.com:99999/",
    "http://img.example.com:-1/",
    "http://img.example.com./",
    "http://img..example.com/",
    "http://-.example.com/",
    "http:// img.example.com/",
    "http://img.example.com/" + "a" * 3000,
    "https://127.0.0.1:{port}/",
    "ftp://img.example.com:{port}/",
    "gopher://img.example.com:{port}/",
    "file:///etc/passwd",
    "file://img.example.com/etc/passwd",
    "unix:///var/run/docker.sock",
    "javascript:alert(1)",
    "/etc/passwd",
    "img.example.com",
    "",
    "http://",
    "http://[",
]
ALLOWED_HOSTS = [
    *("example.com", "127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0177.0.0.1"),
    *("0177.0000.0000.0001", "0x7f.0.0.1", "0x7f000001", "0x7f.1", "127.0.0.0x1", "0", "0.0.0.0"),
    *(
        "127.0.0.1.",
        "localhost",
        "localhost.",
        "localhost.localdomain",
        "::1",
        "[::1]",
        "::",
        "com",
    ),
    *("::ffff:127.0.0.1", "::127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::", "example.com."),
]


# A name like any other: only what it resolves to gives it away.
NAMES = {"http://localhost.localdomain:{port}/"}


@pytest.mark.parametrize(
    ("url", "is_public"),
    [(url, is_public_address) for url in SPELLINGS]
    + [(url, lambda _: True) for url in SPELLINGS if url not in NAMES],
)
def test_no_spelling_of_a_forbidden_address_reaches_it(
    url: str, is_public: Callable[[Address], bool]
) -> None:
    """Here the resolver is as bad as it can be: whatever it is asked, it says loopback. Each of
    the two checks, of the name and of the address, has to hold alone."""

    async def run() -> None:
        trap = Reply()
        async with listening(trap, "127.0.0.1") as port:
            connections.clear()
            fetcher = Fetcher(Resolver(["127.0.0.1"]), is_public, hosts=ALLOWED_HOSTS)
            error = await refusal(fetcher, url.format(port=port))
            assert error.message == REFUSED
            assert connections == []
            assert fetcher.count("refused") == 1
        assert trap.asked == []

    asyncio.run(run())


FORBIDDEN = [
    *("127.0.0.1", "127.255.255.254", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1"),
    *("169.254.169.254", "100.64.0.1", "192.0.0.1", "192.0.2.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1"),
    *("64:ff9b::808:808", "64:ff9b:1::1", "2002:7f00:1::", "2002:808:808::", "2001::1", "100::1"),
    *("2001:db8::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1"),
]


@pytest.mark.parametrize("address", FORBIDDEN)
@pytest.mark.parametrize("company", [[], ["8.8.8.8"]], ids=["alone", "after a public one"])
def test_a_name_for_a_forbidden_address_is_refused(address: str, company: list[str]) -> None:
    connections.clear()
    fetcher = Fetcher(Resolver([*company, address]), is_public=is_public_address)
    assert asyncio.run(refusal(fetcher, f"https://{HOST}/")).message == REFUSED
    assert connections == []


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111"])
def test_public_addresses_are_public(address: str) -> None:
    assert is_public_address(ipaddress.ip_address(address))


def test_a_resolver_that_changes_its_mind_is_asked_only_once() -> None:
    async def run() -> None:
        trap, resolver = Reply(), Resolver([str(PUBLIC)], ["127.0.0.1"])
        async with listening(Reply()) as port, listening(trap, "127.0.0.1"):
            connections.clear()
            await Fetcher(resolver).fill([remote(f"http://{HOST}:{port}/")])
            assert connections == [(str(PUBLIC), port)]
        assert resolver.names == [HOST]
        assert trap.asked == []

    asyncio.run(run())


def test_a_redirect_is_not_followed() -> None:
    async def run() -> None:
        trap = Reply()
        async with listening(trap, "127.0.0.1") as inside:
            away = Reply(b"", "302 Found", Location=f"http://127.0.0.1:{inside}/")
            async with listening(away) as port:
                connections.clear()
                error = await refusal(Fetcher(), f"http://{HOST}:{port}/")
                assert error.message == REFUSED
                assert connections == [(str(PUBLIC), port)]
        assert trap.asked == []

    asyncio.run(run())


BAD_REPLIES = {
    "an error": (Reply(PNG, "404 Not Found"), "failed"),
    "a page": (Reply(b"<html>secret</html>"), "not_an_image"),
    "an SVG": (Reply(b"<svg/>", Content_Type="image/svg+xml"), "not_an_image"),
    "a compressed image": (Reply(PNG, Content_Encoding="gzip"), "failed"),
    "a declared length over the limit": (Reply(PNG, length="1001"), "too_large"),
    "more than the limit": (Reply(PNG + bytes(1000)), "too_large"),
    "less than it said": (Reply(PNG, length="500"), "failed"),
    "no HTTP": (Reply(status="\0"), "failed"),
}


@pytest.mark.parametrize("name", BAD_REPLIES)
def test_whatever_a_server_answers_the_client_reads_the_same(name: str) -> None:
    reply, outcome = BAD_REPLIES[name]

    async def run() -> None:
        async with listening(reply) as port:
            fetcher = Fetcher(max_bytes=1000)
            assert (await refusal(fetcher, f"http://{HOST}:{port}/")).message == REFUSED
            assert fetcher.count(outcome) == 1

    asyncio.run(run())


def test_an_endless_body_is_cut_off_at_the_limit() -> None:
    async def run() -> None:
        async with listening(Endless()) as port:
            fetcher = Fetcher(max_bytes=10_000)
            assert (await refusal(fetcher, f"http://{HOST}:{port}/")).message == REFUSED
            assert fetcher.count("too_large") == 1

    asyncio.run(run())


def test_a_silent_server_is_left_at_the_deadline() -> None:
    async def run() -> None:
        async with listening(Never()) as port:
            fetcher = Fetcher(timeout_s=0.05)
            assert (await refusal(fetcher, f"http://{HOST}:{port}/")).message == REFUSED
            assert fetcher.count("timeout") == 1

    asyncio.run(run())
