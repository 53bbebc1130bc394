"""Keys and usage on the page of a server that has keys: made, used, changed, removed."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from ipc.messages.control import AccessConfig, HistoryConfig
from ipc.messages.keys import ApiKey, digest_of
from supervisor.plan import Origin
from tests.browser.conftest import Visit
from tests.process.box import CHAT, Box, boxes, spec, wait_until

ADMIN, USER = "sk-admin-of-the-test", "sk-user-of-the-test"
FILE = f"root:{ADMIN}:admin\nuser:{USER}\n"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("keys")
    (folder / "keys").write_text(FILE)
    keys = {"root": ApiKey.of(ADMIN, "admin"), "user": ApiKey.of(USER)}
    with boxes() as make:
        box = make(
            spec(CHAT, slots=4),
            gate=AccessConfig(api_keys=keys),
            history=HistoryConfig(file=str(folder / "history.db")),
            origin=Origin(keys_file=str(folder / "keys"), keys_digest=digest_of(FILE)),
        )
        box.client.headers["authorization"] = f"Bearer {ADMIN}"
        yield box.wait_ready()


@pytest.fixture
def visit(browser: Browser, keyed: Box) -> Iterator[Visit]:
    context = browser.new_context()
    one = Visit(context, keyed.url)
    yield one
    context.close()
    assert (one.problems, one.foreign) == ([], [])


def log_in(visit: Visit, secret: str) -> None:
    visit.page.goto(f"{visit.url}/#/keys")
    visit.page.get_by_label("One of this server's API keys").fill(secret)
    visit.page.get_by_role("button", name="Log in").click()
    expect(visit.page.locator("main h1")).to_have_text("Keys & usage")


def says_hello(box: Box, secret: str) -> int:
    body = {"model": CHAT, "messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {secret}"}
    return httpx2.post(
        f"{box.url}/v1/chat/completions", json=body, headers=headers, timeout=60
    ).status_code


def test_a_key_is_made_used_and_removed(visit: Visit, keyed: Box) -> None:
    log_in(visit, ADMIN)
    page = visit.page
    page.get_by_text("Make a key").click()
    page.get_by_label("Name").fill("sam")
    page.get_by_label("Requests a minute").fill("600")
    page.get_by_role("button", name="Make it").click()
    secret = page.locator(".callout .copyable code").text_content() or ""
    row = page.locator("tr", has_text="sam")
    expect(row).to_contain_text("Requests a minute: 600")
    assert says_hello(keyed, secret) == 200

    page.reload()
    expect(page.locator("table").first).to_contain_text("sam")  # in the sums
    expect(page.locator(".callout .copyable")).to_have_count(0)  # it is not told again
    assert Axe().run(page).violations_count == 0

    keys = page.locator("section", has=page.get_by_role("heading", name="Keys", exact=True))
    row = keys.locator("tr", has_text="sam")
    row.get_by_role("button", name="Change").click()
    keys.get_by_label("Tokens a day").first.fill("5000")
    assert Axe().run(page).violations_count == 0
    keys.get_by_role("button", name="Change it").click()
    expect(row.first).to_contain_text("Tokens a day: 5,000")

    row.first.get_by_role("button", name="Remove").click()
    row.first.get_by_role("button", name="Really remove").click()
    expect(keys.locator("tr", has_text="sam")).to_have_count(0)
    wait_until(lambda: says_hello(keyed, secret) == 401)


def test_the_last_admin_stays(visit: Visit) -> None:
    log_in(visit, ADMIN)
    row = visit.page.locator("tr", has_text="this one")
    row.get_by_role("button", name="Remove").click()
    row.get_by_role("button", name="Really remove").click()
    expect(visit.page.locator(".notice.error")).to_contain_text("the last key with the role admin")


def test_a_user_is_shown_what_is_his_own(visit: Visit, keyed: Box) -> None:
    assert says_hello(keyed, USER) == 200
    log_in(visit, USER)
    expect(visit.page.locator("table tbody")).to_contain_text(CHAT)
    expect(visit.page.get_by_role("heading", name="Keys", exact=True)).to_have_count(0)
    assert Axe().run(visit.page).violations_count == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_themes_can_be_read(browser: Browser, keyed: Box, scheme: str) -> None:
    context = browser.new_context(
        color_scheme="dark" if scheme == "dark" else "light",
        viewport={"width": 320, "height": 640},
    )
    visit = Visit(context, keyed.url)
    log_in(visit, ADMIN)
    visit.page.get_by_text("Make a key").click()
    expect(visit.page.get_by_role("button", name="Make it")).to_be_visible()
    assert Axe().run(visit.page).violations_count == 0
    assert visit.page.evaluate("document.documentElement.scrollWidth") <= 320
    context.close()
    assert (visit.problems, visit.foreign) == ([], [])
