"""The report as a browser lays it out; skipped where no Chromium is installed."""

import json
import os
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

from llmclf.audit.page import html
from tests.audit.empathy_page import page

BROWSER = next(
    filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "google-chrome", "chromium-browser"))), None
)
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium here: apt-get install chromium-headless-shell")

HARNESS = """<!doctype html><iframe style="border:0;width:WIDTHpx;height:900px" src="report.html"></iframe>
<script>onload = () => {
  const report = document.querySelector("iframe").contentDocument, root = report.documentElement;
  report.querySelector("a[href^='#record-']").click();
  setTimeout(() => {
    const drawn = [...report.querySelectorAll(".plot")].filter(plot => plot.getBoundingClientRect().width > 0);
    const cut = drawn.flatMap(plot => {
      const box = plot.viewBox.baseVal;
      return [...plot.querySelectorAll("text")].filter(text => {
        const at = text.getBBox();
        return at.x < -1 || at.y < -1 || at.x + at.width > box.width + 1 || at.y + at.height > box.height + 1;
      }).map(text => text.textContent);
    });
    const sizes = drawn.map(plot => plot.getBoundingClientRect().width / plot.viewBox.baseVal.width
      * parseFloat(report.defaultView.getComputedStyle(plot.querySelector("text")).fontSize));
    const found = {overflow: root.scrollWidth - root.clientWidth, drawn: drawn.length, cut,
      letters: Math.min(...sizes), opened: report.querySelectorAll("details[open]").length};
    document.body.innerHTML = `<pre>${JSON.stringify(found)}</pre>`;
  }, 100);
}</script>"""


def run(folder: Path, source: str, *options: str) -> str:
    assert BROWSER
    file = folder / "page.html"
    file.write_text(source, encoding="utf-8")
    sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
    common = ["--headless", "--disable-gpu", "--virtual-time-budget=5000", f"--user-data-dir={folder / 'profile'}"]
    done = subprocess.run(
        [BROWSER, *sandbox, *common, *options, file.as_uri()], capture_output=True, timeout=120, check=True
    )
    return done.stdout.decode()


@pytest.mark.parametrize("width", [360, 820, 1280])
def test_a_report_fits_phone_tablet_and_desktop(tmp_path: Path, width: int) -> None:
    (tmp_path / "report.html").write_text(html(page()), encoding="utf-8")
    dom = run(tmp_path, HARNESS.replace("WIDTH", str(width)), "--allow-file-access-from-files", "--dump-dom")
    found = json.loads(unescape(re.findall("<pre>(.*)</pre>", dom)[-1]))
    assert found["overflow"] == 0
    assert found["drawn"] > 6 * 21
    assert found["cut"] == []
    assert found["letters"] > 7.5  # pixels
    assert found["opened"] == 1
