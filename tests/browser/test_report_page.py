"""The report in a real browser: its script runs, its pictures show, a phone need not scroll it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import FAULTS
from tests.unit.test_report_page import write_finished

ORDERS = """() => {
  const table = document.querySelector("table.sortable");
  const heads = [...table.tHead.rows[0].cells];
  const column = heads.findIndex((head) => head.textContent.includes("steps"));
  const read = () => [...table.tBodies[0].rows].map((row) => row.cells[column].dataset.v);
  const orders = [read()];
  for (let click = 0; click < 2; click++) {
    heads[column].querySelector("button").click();
    orders.push(read());
  }
  return orders;
}"""
"""The steps of the leaderboard's trials as it stands, after one click on their heading, and two."""
LINKS = """() => [...document.querySelectorAll('a[href^="#"]')].map((one) => one.hash.slice(1))
  .filter((one) => !document.getElementById(one))"""
BROKEN = "() => [...document.images].filter((one) => !one.naturalWidth).map((one) => one.alt)"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = tmp_path_factory.mktemp("home")
    write_finished(home)
    (page,) = home.rglob("report.html")
    return page


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1400, "dark")])
def test_a_browser_sorts_the_leaderboard_and_shows_every_picture(
    width: int, scheme: str, report: Path, chromium: Any
) -> None:
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True
    )
    page, errors = context.new_page(), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text))
    page.goto(report.as_uri())
    assert page.evaluate(FAULTS) == []
    given, up, down = page.evaluate(ORDERS)
    filled = [steps for steps in given if steps]
    assert len(set(filled)) > 1
    assert [steps for steps in up if steps] == sorted(filled, key=float)
    assert [steps for steps in down if steps] == sorted(filled, key=float, reverse=True)
    assert page.evaluate("document.images.length") > 3
    assert page.evaluate(BROKEN) == page.evaluate(LINKS) == errors == []
    context.close()
