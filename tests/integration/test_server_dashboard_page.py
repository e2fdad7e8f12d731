"""The dashboard in a real browser, against a real server under light load."""

import re
import shutil
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from ondeck_registry.aliases import AliasDecision, move_alias
from ondeck_store.database import Database
from tests.factories.broken_models import BROKEN, MODEL, add_broken_versions
from tests.fixtures.dashboard import fill_database, light_load
from tests.fixtures.server import RunningServer, serving
from tests.fixtures.store import truncate_tables

VISIBLE_MS: Final = 10_000
SERIOUS: Final = {"serious", "critical"}
VIEWS: Final = ("now", "data", "models", "history", "alerts")
PANELS: Final = {
    "now": ("figures", "versions", "workers", "distribution", "statuses", "methods"),
    "data": ("data-figures", "calendar", "problem-days", "quarantine", "players", "sources"),
    "models": ("scores", "model"),
    "history": ("history",),
    "alerts": ("alert-figures", "active"),
}
CHARTS: Final = {
    "now": ("traffic", "latency", "errors", "queue"),
    "data": (),
    "models": ("scores-log_loss",),
    "history": ("history-calls", "history-latency", "history-errors", "history-queue"),
    "alerts": (),
}

RULES: Final = """
groups:
  - name: test
    rules:
      - alert: WorkersDesired
        expr: ondeck_workers_desired > 0
        labels: {severity: ticket}
        annotations: {summary: The server has workers.}
"""


@pytest.fixture(scope="module")
def models(small_repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(small_repository, tmp_path_factory.mktemp("page") / "models"))


@pytest.fixture(scope="module")
async def filled_home(opened_database: Database, store_home: Path) -> Path:
    async with opened_database.engine.begin() as connection:
        await truncate_tables(connection)
        await fill_database(connection)
    return store_home


@pytest.fixture(scope="module")
def browser(filled_home: Path, browser: Browser) -> Browser:
    assert filled_home.is_dir()  # filled first: no other event loop can run while the browser is open
    return browser


@pytest.fixture(scope="module")
def server(models: Path, browser: Browser, filled_home: Path) -> Iterator[RunningServer]:
    assert browser.is_connected()
    words = ("--home", str(filled_home))
    rules = models.parent / "rules.yml"
    rules.write_text(RULES)
    settings: dict[str, Any] = {"repository_poll_seconds": 1, "alert_rules": rules, "alert_interval_seconds": 1}
    with serving(models, *words, workers=2, **settings) as running, light_load(running.target):
        yield running


class OpenPage:
    """A page of the dashboard, and the errors of its console."""

    def __init__(self, page: Page, admin: str) -> None:
        self.page = page
        self.admin = admin
        self.errors: list[str] = []
        page.on("console", self._on_message)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def show(self, view: str) -> Page:
        self.page.goto(f"{self.admin}/#{view}")
        expect(self.page.locator("nav a[aria-current]")).to_have_attribute("data-view", view)
        return self.page

    def _on_message(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self.errors.append(message.text)


@pytest.fixture
def opened(browser: Browser, server: RunningServer) -> Iterator[OpenPage]:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    try:
        yield OpenPage(page, server.admin)
    finally:
        page.close()


@pytest.mark.parametrize("view", VIEWS)
def test_every_panel_shows_values_without_a_console_error(opened: OpenPage, view: str) -> None:
    page = opened.show(view)
    for name in PANELS[view]:
        panel = page.locator(f'[data-panel="{name}"]').first
        expect(panel).to_be_visible(timeout=VISIBLE_MS)
        assert any(letter.isdigit() for letter in panel.inner_text())
    for name in CHARTS[view]:
        expect(page.locator(f'[data-chart="{name}"] canvas')).to_be_visible(timeout=VISIBLE_MS)
        expect(page.locator(f'[data-chart="{name}"] .legend b').last).not_to_have_text(
            "\N{EN DASH}", timeout=VISIBLE_MS
        )
    assert opened.errors == []


@pytest.mark.parametrize("view", VIEWS)
def test_a_chart_has_a_table_with_its_values(opened: OpenPage, view: str) -> None:
    page = opened.show(view)
    for name in CHARTS[view]:
        figure = page.locator(f'[data-chart="{name}"]')
        expect(figure.locator("canvas")).to_be_visible(timeout=VISIBLE_MS)
        figure.locator("summary").focus()
        page.keyboard.press("Enter")
        expect(figure.locator("tbody th").first).to_contain_text(re.compile("[0-9]"), timeout=VISIBLE_MS)
        assert figure.locator('[role="img"]').get_attribute("aria-label")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_nothing_serious(browser: Browser, server: RunningServer, view: str, scheme: Any) -> None:
    page = browser.new_page(color_scheme=scheme)
    OpenPage(page, server.admin).show(view)
    expect(page.locator("main [data-panel]").first).to_be_visible(timeout=VISIBLE_MS)
    page.locator("details").evaluate_all("all => all.forEach(each => { each.open = true })")
    page.wait_for_timeout(500)
    found = Axe().run(page).response["violations"]
    serious = [each for each in found if each["impact"] in SERIOUS]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in serious] == []
    page.close()


@pytest.mark.parametrize("view", VIEWS)
def test_a_narrow_page_does_not_scroll_sideways(browser: Browser, server: RunningServer, view: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740})
    OpenPage(page, server.admin).show(view)
    expect(page.locator("main [data-panel]").first).to_be_visible(timeout=VISIBLE_MS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.close()


def test_an_alert_that_fires_is_shown_with_its_summary(opened: OpenPage) -> None:
    alert = opened.show("alerts").locator('[data-alert="WorkersDesired"]')
    expect(alert).to_contain_text("firing", timeout=VISIBLE_MS)
    expect(alert).to_contain_text("The server has workers.")
    expect(alert).to_contain_text("severity ticket")
    assert opened.errors == []


def test_the_theme_can_be_chosen_and_is_kept(opened: OpenPage) -> None:
    page = opened.show("now")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_label("Theme").select_option("dark")
    assert page.evaluate(ground) != light
    page.reload()
    assert page.get_by_label("Theme").input_value() == "dark"
    assert opened.errors == []


def test_the_keyboard_reaches_the_view_and_every_link(opened: OpenPage) -> None:
    page = opened.show("now")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_a_refused_version_and_a_killed_worker_become_visible(
    opened: OpenPage, server: RunningServer, models: Path, small_repository: Path
) -> None:
    page = opened.show("now")
    broken = add_broken_versions(Path(shutil.copytree(small_repository, models.parent / "broken")))
    shutil.move(broken / MODEL / str(BROKEN), models / MODEL / str(BROKEN))
    decision = AliasDecision(actor="a test", reason="to see", at=datetime.now(UTC))
    move_alias(models, MODEL, "candidate", BROKEN, decision)
    row = page.locator('[data-panel="versions"] tr', has_text=f"{MODEL} {BROKEN}")
    expect(row).to_contain_text("refused", timeout=VISIBLE_MS)
    expect(page.locator("#server")).to_contain_text("degraded")
    victim = server.workers()[0]
    expect(page.locator(f'[data-pid="{victim.pid}"]')).to_be_visible()
    victim.kill()
    expect(page.locator(f'[data-pid="{victim.pid}"]')).to_have_count(0, timeout=VISIBLE_MS)
    expect(page.locator('[data-panel="workers"]')).to_contain_text("1 died", timeout=2 * VISIBLE_MS)
    assert opened.errors == []


def test_the_page_says_that_the_server_is_lost_and_recovers(browser: Browser, small_repository: Path) -> None:
    with serving(small_repository) as server:
        page = browser.new_page()
        OpenPage(page, server.admin).show("now")
        expect(page.locator("#server")).to_contain_text("ready", timeout=VISIBLE_MS)
        server.process.send_signal(signal.SIGSTOP)
        expect(page.get_by_role("alert")).to_contain_text("No answer from the server", timeout=3 * VISIBLE_MS)
        server.process.send_signal(signal.SIGCONT)
        expect(page.get_by_role("alert")).to_be_empty(timeout=3 * VISIBLE_MS)
        page.close()


def test_the_page_requests_nothing_from_elsewhere(opened: OpenPage, server: RunningServer) -> None:
    requested: list[str] = []
    opened.page.on("request", lambda request: requested.append(request.url))
    with opened.page.expect_response("**/api/v1/**"):
        opened.show("now")
    assert {url for url in requested if not url.startswith(server.admin)} == set()
