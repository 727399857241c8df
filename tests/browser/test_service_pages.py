"""The pages in a real browser: submitting, watching, steering; without scripts; for everybody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from sweeper.service.state import sweeps
from tests.browser.conftest import FAULTS, Served

SMALL = """\
name: first
description: Two rates
base: {data: {name: digits}, steps: 80}
parameters:
  optimizer.generator.lr: {distribution: log_uniform, min: 2.0e-4, max: 1.0e-2}
  loss: {values: [non_saturating, hinge]}
search: {sampler: random}
limits: {trials: 6}
"""
ABLATION = {
    "name": "ablation",
    "base": {"data": {"name": "digits"}, "steps": 80},
    "parameters": {"tricks.ema": {"toggle": True}, "tricks.r1": {"toggle": True}},
    "ablation": {"design": "leave_one_out", "seeds": 3},
}
DONE: dict[str, Any] = {
    "name": "done",
    "description": "Two rates",
    "base": {"data": {"name": "digits"}, "steps": 80},
    "parameters": {
        "optimizer.generator.lr": {"distribution": "log_uniform", "min": 2e-4, "max": 1e-2},
        "loss": {"values": ["non_saturating", "hinge"]},
    },
    "search": {"sampler": "random"},
    "limits": {"trials": 6},
}
OTHER = {
    "name": "other",
    "description": "control \x1b[31m and <b>markup</b>",
    "base": {"data": {"name": "digits"}, "steps": 80},
    "parameters": {"loss": {"values": ["non_saturating", "hinge"]}},
    "limits": {"trials": 2},
}
LONG = 100 * "n"
PAGES = (
    "/",
    "/new",
    "/queue",
    "/machines",
    "/parts",
    "/notices",
    "/tokens",
    "/people",
    "/audit",
    "/sweeps/done",
    "/sweeps/done/trials",
    "/sweeps/done/trials/1",
    "/sweeps/done/change",
    "/sweeps/ablation",
    f"/sweeps/{LONG}",
    "/compare?sweep=done&trial=done/1",
)
SWAPPED = """() => document.addEventListener("htmx:after:swap", (event) => {
  if (event.target.closest("#again, #sweeps")) document.documentElement.dataset.swapped = "yes";
})"""
"""From now on the page notes whether its last section, or its list, was brought up to date."""

BEHIND = """
  let hidden = false;
  Object.defineProperty(document, "hidden", { get: () => hidden });
  window.seen = (yes) => {
    hidden = !yes;
    document.dispatchEvent(new Event("visibilitychange"));
  };
"""
"""A browser without a window calls every tab seen: here a test says which is."""


@contextmanager
def looking(
    chromium: Any, served: Served, person: str = "ada", **given: Any
) -> Iterator[tuple[Any, list[str]]]:
    """A page of a browser that is signed in, and everything that went wrong in it."""
    context = chromium.new_context(base_url=served.address, **given)
    if given.get("java_script_enabled", True):
        context.grant_permissions(["clipboard-read", "clipboard-write"])
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda message: wrong.append(message.text) if message.type == "error" else None,
    )
    page.on(
        "request",
        lambda request: (
            None
            if request.url.startswith((served.address, "data:"))
            else wrong.append(f"asked elsewhere: {request.url}")
        ),
    )
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto("/queue")
    assert page.url == f"{served.address}/login?next=%2Fqueue"
    page.fill("#token", served.tokens[person])
    page.click("button")
    assert page.url == f"{served.address}/queue"
    yield page, wrong
    context.close()


@pytest.fixture(scope="module")
def lab(served: Served) -> Served:
    """A service with an ablation and a search that have ended, and a sweep that waits."""
    for given in (ABLATION, DONE):
        served.submit("ada", given)
        run_to_the_end(served, given["name"])
    served.submit("bo", OTHER)
    served.submit("bo", {**OTHER, "name": LONG})
    return served


def run_to_the_end(served: Served, name: str) -> None:
    driver = served.drive(name)
    while (trial := driver.begin()) is not None:
        driver.run(trial)
    served.say(name, "finished")


def test_a_sweep_is_submitted_watched_and_steered(chromium: Any, lab: Served) -> None:
    with looking(chromium, lab) as (page, wrong):
        page.goto("/new")
        page.fill("#text", SMALL.replace("limits: {trials: 6}", "limits: {trails: 6}"))
        page.wait_for_selector("#checked li[data-line='8']")
        assert "trials" in page.inner_text("#checked")
        page.fill("#text", SMALL)
        page.wait_for_selector("#checked >> text=Valid")
        page.click("button:has-text('Submit')")
        assert page.url.endswith("/sweeps/first")
        assert "queued" in page.inner_text("h1")

        page.evaluate("window.same = true")
        driver = lab.drive("first")
        for over in range(4):
            trial = driver.begin()
            assert trial is not None
            driver.run(trial)
            lab.say("first", "running", at_work=1, over=over + 1)
        page.wait_for_selector("#leaderboard tbody tr:nth-child(4)", timeout=15_000)
        assert "running" in page.inner_text("h1")
        page.wait_for_selector("#steps canvas")
        page.locator("#parallel").scroll_into_view_if_needed()
        page.wait_for_selector("#parallel svg.parallel")
        assert page.evaluate("window.same"), "the page was loaded again"

        # What a reader has sorted and unfolded stays so when more comes.
        page.click("#leaderboard th >> text=trial")
        page.click("#leaderboard th >> text=trial")
        page.click("#again summary")
        unfinished = driver.begin()
        assert unfinished is not None
        driver.report(unfinished, 1)
        lab.say("first", "running", at_work=1, over=4)
        page.locator("#leaderboard").scroll_into_view_if_needed()
        page.wait_for_selector("#leaderboard tbody tr:nth-child(5)", timeout=15_000)
        first = page.inner_text("#leaderboard tbody tr:first-child td:nth-child(2)")
        assert first == unfinished.name
        page.evaluate(SWAPPED)
        page.locator("#again").scroll_into_view_if_needed()
        page.wait_for_selector("html[data-swapped]")
        assert page.locator("#again details[open]").count() == 1
        page.click("text=All trials")
        page.click(f"a:has-text('{unfinished.name}')")
        page.wait_for_selector("#curves canvas")
        assert "step 10: FID" in page.inner_text("#log")
        page.click("text=Stop this trial")
        page.wait_for_selector("text=stop was requested")
        with lab.service.database.reading() as session:
            (order,) = sweeps.orders_of(session, lab.entry("first").sweep.id)
        assert (order.kind, order.number) == ("stop", unfinished.number)

        page.goto("/sweeps/ablation")
        page.locator("#tables").scroll_into_view_if_needed()
        page.click("#table-ablation >> text=Copy LaTeX")
        page.wait_for_selector("#said:has-text('Copied')")
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith("%") or "\\begin{" in copied
        assert "without ema" in copied
    assert wrong == []
    with looking(chromium, lab, "bo") as (page, wrong):
        page.goto("/sweeps/first")
        assert page.locator("text=Cancel").count() == 0  # it is ada's
        page.goto("/sweeps/other")
        page.click("button:has-text('Cancel')")
        page.wait_for_load_state()
        assert lab.entry("other").sweep.wanted == "cancel"
        assert "control \\x1b[31m and <b>markup</b>" in page.inner_text("#about")
    assert wrong == []


def test_however_many_tabs_are_open_each_is_answered(chromium: Any, lab: Served) -> None:
    """A browser opens six connections to a host at most: a tab that nobody sees holds none."""
    with looking(chromium, lab) as (page, wrong):
        page.context.add_init_script(BEHIND)
        tabs = []
        for _ in range(8):
            tab = page.context.new_page()
            tab.goto("/", timeout=30_000)
            tab.evaluate("seen(false)")
            tabs.append(tab)
        lab.submit("bo", {**OTHER, "name": "meanwhile"})
        tabs[0].evaluate("seen(true)")
        tabs[0].wait_for_selector("a:has-text('meanwhile')")
        lab.submit("bo", {**OTHER, "name": "afterwards"})
        tabs[0].wait_for_selector("a:has-text('afterwards')")
    assert wrong == []


def test_a_list_stays_where_its_reader_is(
    chromium: Any, lab: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweeper.service.pages.sweep_list.SHOWN", 2)
    rows = "#sweeps tbody a"
    with looking(chromium, lab) as (page, wrong):
        page.goto("/?first=1")
        names = page.locator(rows).all_inner_texts()
        page.keyboard.press("j")
        page.evaluate(SWAPPED)
        lab.say("done", "finished", over=6)
        page.wait_for_selector("html[data-swapped]")
        assert page.locator(rows).all_inner_texts() == names
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.textContent") == names[1]
        page.goto("/")
        page.fill("[data-filter]", "done")
        page.wait_for_selector("text=/1 of . shown/")
        page.click(rows)
        page.wait_for_url("**/sweeps/done")
        page.go_back()
        assert page.locator(rows).all_inner_texts() == ["done"]
        assert page.input_value("[data-filter]") == "done"
    assert wrong == []


def test_what_is_written_outlives_the_session(chromium: Any, lab: Served) -> None:
    text = "nme: lost\n# an hour of work\n"

    def back_in(page: Any, person: str = "ada") -> None:
        page.wait_for_url("**/login?next=%2Fnew*")
        page.fill("#token", lab.tokens[person])
        page.click("button")
        page.wait_for_url("**/new*")

    with looking(chromium, lab) as (page, _):
        page.goto("/new?preset=dcgan")
        page.context.clear_cookies()
        page.fill("#text", text)  # is checked
        back_in(page)
        assert page.input_value("#text") == text
        page.wait_for_selector("#checked li")
        page.context.clear_cookies()
        page.click("button:has-text('Submit')")
        back_in(page)
        assert page.input_value("#text") == text
        page.goto("/new")
        assert page.input_value("#text") != text
        page.context.clear_cookies()
        page.fill("#text", text)
        back_in(page, "bo")
        assert page.input_value("#text") != text


def test_what_is_written_outlives_a_session_that_another_tab_began_anew(
    chromium: Any, lab: Served
) -> None:
    text = SMALL.replace("first", "anew")

    def in_another_tab(page: Any) -> None:
        assert page.request.post("/login", form={"token": lab.tokens["ada"]}).ok

    with looking(chromium, lab) as (page, _):
        page.goto("/new?preset=dcgan")
        in_another_tab(page)
        page.fill("#text", text)
        page.wait_for_selector("#checked :text('out of date')")
        page.reload()
        assert page.input_value("#text") == text
        in_another_tab(page)
        page.click("button:has-text('Submit')")
        page.wait_for_selector("main :text('out of date')")
        page.click("text=Back to what was written")
        page.wait_for_url("**/new?preset=dcgan")
        assert page.input_value("#text") == text
        page.click("button:has-text('Submit')")
        page.wait_for_url("**/sweeps/anew")
        page.goto("/new?preset=dcgan")
        assert page.input_value("#text") != text


def test_what_was_submitted_is_written_over_nothing(chromium: Any, lab: Served) -> None:
    lab.submit("ada", {**DONE, "name": "earlier"})
    with looking(chromium, lab) as (page, wrong):
        page.goto("/new?sweep=earlier")
        page.fill("#text", SMALL.replace("first", "written"))
        page.click("button:has-text('Submit')")
        page.wait_for_url("**/sweeps/written")
        page.context.clear_cookies()
        page.goto("/new?sweep=earlier")
        page.fill("#token", lab.tokens["ada"])
        page.click("button")
        page.wait_for_url("**/new?sweep=earlier")
        assert "earlier" in page.input_value("#text")
    assert wrong == []


def test_that_a_sweep_was_deleted_is_said_once(chromium: Any, lab: Served) -> None:
    lab.submit("ada", {**DONE, "name": "gone"})
    run_to_the_end(lab, "gone")
    with looking(chromium, lab) as (page, _):
        page.goto("/sweeps/gone")
        page.wait_for_selector("#leaderboard tbody tr")
        token = page.get_attribute('meta[name="csrf"]', "content")
        page.request.post("/sweeps/gone/delete", form={"csrf_token": token})
        page.wait_for_selector("main [role=alert]", timeout=15_000)
        page.locator("#again").scroll_into_view_if_needed()
        page.wait_for_timeout(500)
        assert page.locator("main [role=alert]").count() == 1
        assert page.locator(".heading + #gone").count() == 1
        assert page.locator(".heading .actions").count() == 0
        assert page.locator("#leaderboard tbody tr").count() == 6


def test_pages_are_read_without_scripts(chromium: Any, lab: Served) -> None:
    with looking(chromium, lab, java_script_enabled=False) as (page, wrong):
        for path, words in {
            "/": "Two rates",
            "/sweeps/done": "How it was measured",
            "/sweeps/done?part=gallery": "at step 80",
            "/sweeps/done/trials": "non_saturating",
            "/sweeps/done/trials/1": "step 80: FID",
            "/sweeps/ablation?part=tables": "without ema",
            "/parts?q=spectral": "W / ",
            "/compare?sweep=done&sweep=ablation": "optimizer.generator.lr",
        }.items():
            page.goto(path)
            assert words in page.inner_text("main"), path
        page.goto("/sweeps/done")
        assert page.locator("#leaderboard tbody tr").count() == 6
        page.goto("/sweeps/done?part=parameters")
        assert page.locator("svg.panel").count() == 2
        assert page.locator(".needs-script:visible").count() == 0
    assert wrong == []


def test_pages_are_for_everybody(chromium: Any, lab: Served) -> None:
    """Every control has a name, headings are in order, text stands out, a phone need not scroll."""
    desk, phone = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
    with looking(chromium, lab, viewport=desk) as (page, wrong):
        for path in PAGES:
            page.goto(path)
            for scheme, size in (("light", desk), ("dark", phone)):
                page.emulate_media(color_scheme=scheme)
                page.set_viewport_size(size)
                assert page.evaluate(FAULTS) == [], (path, scheme)
        page.keyboard.press("?")
        assert page.is_visible("#keys")
        page.keyboard.press("Escape")
        page.keyboard.press("g")
        page.keyboard.press("q")
        page.wait_for_url(re.compile("/queue$"))
        page.evaluate("document.querySelector('h1').style.color = '#777'")
        page.evaluate("document.querySelector('#help').removeAttribute('aria-label')")
        page.evaluate("document.querySelector('#help').textContent = ''")
        faults = page.evaluate(FAULTS)  # it sees what it is there for
        assert [fault.partition(":")[0] for fault in faults] == ["no name", "contrast 4.0"]
    assert wrong == []
