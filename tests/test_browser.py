"""A notebook as a class meets it: a real JupyterLab server and a real browser.

Needs Chromium (Debian's package ``chromium``) and playwright; skipped, with the reason, without
them. The screenshots are kept in ``out/browser``.
"""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
NOTEBOOK = "04_theory_insight.ipynb"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SETTINGS = {
    # cells out of sight are drawn too, and nobody asks a server for news
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium"),
]


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab server on loopback, with a token, on a copy of the notebook; yields its URL."""
    folder = tmp_path_factory.mktemp("lab")
    shutil.copy(ROOT / "notebooks" / NOTEBOOK, folder)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    names = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTERLAB_SETTINGS_DIR")
    own = {name: str(folder / name) for name in names}
    for plugin, settings in SETTINGS.items():
        file = folder / "JUPYTERLAB_SETTINGS_DIR" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    log = (folder / "server.log").open("w")
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"),
            *("--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"),
            *(f"--IdentityProvider.token={token}", f"--ServerApp.root_dir={folder}"),
            "--LabApp.news_url=",
        ],
        stdout=log,
        stderr=log,
        env=os.environ | own | {"OMP_NUM_THREADS": "1"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/api/status?token={token}", timeout=5).close()
                break
            except (urllib.error.URLError, ConnectionError):
                assert time.monotonic() < deadline and server.poll() is None, "no JupyterLab"
                time.sleep(0.5)
        yield url, token
    finally:
        server.terminate()
        server.wait(timeout=20)
        log.close()


def test_the_server_refuses_a_visitor_without_the_token(lab):
    url, _ = lab
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"{url}/api/contents", timeout=10)


@pytest.fixture(scope="module")
def page(lab):
    """The notebook in the browser with all cells run; ``page.errors`` are the console's."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright")
    url, token = lab
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.errors = []
        page.on("pageerror", lambda error: page.errors.append(str(error)))
        page.on("console", lambda m: page.errors.append(m.text) if m.type == "error" else None)
        page.goto(f"{url}/lab/tree/{NOTEBOOK}?token={token}", timeout=90_000)
        page.locator(".jp-Notebook .jp-CodeCell").first.wait_for(timeout=90_000)
        page.get_by_text("Python 3 (ipykernel) | Idle").wait_for(timeout=90_000)
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        page.wait_for_function(ALL_RUN, timeout=300_000)
        yield page
        browser.close()


ALL_RUN = """() => {
    // a cell whose code is folded away has a placeholder without a number
    const prompts = '.jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)';
    const counts = [...document.querySelectorAll(prompts)];
    const text = counts.map(prompt => prompt.textContent);
    const idle = document.querySelector('.jp-Notebook-ExecutionIndicator[data-status=idle]');
    const panels = document.querySelectorAll('.jp-OutputArea .widget-image');
    return idle && panels.length && text.every(t => /\\[\\d+\\]/.test(t));
}"""


def test_every_cell_runs_without_an_error(page):
    assert page.locator(".jp-RenderedText[data-mime-type*=stderr]").count() == 0
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.locator(".jp-CodeCell").count() >= 20


def test_a_slider_moved_by_keyboard_changes_the_picture(page):
    picture = page.locator(".jp-OutputArea .widget-image").first
    picture.scroll_into_view_if_needed()
    before = picture.get_attribute("src")
    handle = page.locator(".jp-OutputArea .noUi-handle[role=slider]").first
    handle.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "old => document.querySelector('.jp-OutputArea .widget-image').src !== old",
        arg=before,
        timeout=30_000,
    )
    out = ROOT / "out" / "browser"
    out.mkdir(parents=True, exist_ok=True)
    for i in range(page.locator(".jp-OutputArea .widget-image").count()):
        page.locator(".jp-OutputArea .widget-image").nth(i).scroll_into_view_if_needed()
        page.screenshot(path=out / f"panel-{i + 1}.png")
        assert (out / f"panel-{i + 1}.png").stat().st_size > 20_000


def test_no_label_of_a_panel_is_clipped(page):
    clipped = page.evaluate(
        """() => [...document.querySelectorAll('.jp-OutputArea .widget-label')]
            .filter(label => label.offsetParent && label.scrollWidth > label.clientWidth + 1)
            .map(label => label.textContent)"""
    )
    assert clipped == []


def test_the_console_shows_no_error(page):
    assert page.errors == []
