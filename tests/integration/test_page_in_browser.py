"""The report in a real browser: its script runs, its pictures show, a phone need not scroll it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from tests.unit.test_report_page import write_finished

BROWSER = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

pytestmark = pytest.mark.skipif(not BROWSER, reason="no Chromium is installed")

PROBE = """
<script>
window.addEventListener("load", () => {
  const table = document.querySelector("table.sortable");
  const heads = [...table.tHead.rows[0].cells];
  const column = heads.findIndex((head) => head.textContent.includes("steps"));
  const read = () => [...table.tBodies[0].rows].map((row) => row.cells[column].dataset.v);
  const orders = [read()];
  for (let click = 0; click < 2; click++) {
    heads[column].querySelector("button").click();
    orders.push(read());
  }
  const broken = [...document.images].filter((one) => !one.naturalWidth).map((one) => one.alt);
  const targets = [...document.querySelectorAll('a[href^="#"]')].map((one) => one.hash.slice(1));
  document.body.dataset.found = JSON.stringify({
    orders, broken, errors: window.errors, images: document.images.length,
    dangling: targets.filter((one) => !document.getElementById(one)),
    wide: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  });
});
</script>
"""
LISTEN = """<script>
window.errors = [];
window.addEventListener("error", (event) => window.errors.push(event.message), true);
</script>"""


def looked_at(page: Path, width: int, folder: Path) -> dict[str, Any]:
    """What a browser of this width makes of a page."""
    text = page.read_text("utf-8").replace("<head>", f"<head>{LISTEN}", 1)
    probed = page.with_name("probed.html")
    probed.write_text(text.replace("</body>", f"{PROBE}</body>", 1), "utf-8")
    dom = subprocess.run(
        [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={folder}",
            f"--window-size={width},900",
            "--virtual-time-budget=5000",
            "--dump-dom",
            probed.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    ).stdout
    found = re.search(r'data-found="([^"]*)"', dom)
    assert found, dom[-2000:]
    return dict(json.loads(unescape(found[1])))


@pytest.mark.parametrize("width", [500, 1400])
def test_a_browser_sorts_the_leaderboard_and_shows_every_picture(
    width: int, tmp_path: Path
) -> None:
    write_finished(tmp_path)
    (page,) = tmp_path.rglob("report.html")
    found = looked_at(page, width, tmp_path / "profile")
    given, up, down = found["orders"]
    filled = [steps for steps in given if steps]
    assert len(set(filled)) > 1
    assert [steps for steps in up if steps] == sorted(filled, key=float)
    assert [steps for steps in down if steps] == sorted(filled, key=float, reverse=True)
    assert found["images"] > 3
    assert found["broken"] == found["errors"] == found["dangling"] == []
    assert found["wide"] <= 0
