"""`make site` and `make slides`: every page in a real browser, from the folder, the network cut.

Needs Chromium and the packages that `make test-all` installs.
"""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import pytest
from test_browser import CHROMIUM, FLAGS

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("source/[0-9]*.md"))
SIZES = [(900, 700), (390, 844)]

pytestmark = pytest.mark.extra


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return tmp_path_factory.mktemp("made")


def build(name, made):
    command = [sys.executable, NOTEBOOKS / f"build_{name}.py", "--out", made / name]
    subprocess.run(command, check=True)
    return made / name


@pytest.fixture(scope="module")
def site(made):
    return build("site", made)


@pytest.fixture(scope="module")
def slides(made):
    return build("slides", made)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture
def page(browser, made):
    """A page without network; ``page.problems`` are console errors and requests gone wrong."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.problems = []
    inside = made.as_uri()

    def check(request):
        if not request.url.startswith((inside, "data:")):
            page.problems.append(f"asks for {request.url}")

    page.on("request", check)
    page.on("requestfailed", lambda request: page.problems.append(f"misses {request.url}"))
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("console", lambda m: page.problems.append(m.text) if m.type == "error" else None)
    yield page
    context.close()


FORM = """() => ({
    width: document.documentElement.scrollWidth,
    typeset: document.querySelectorAll('mjx-container').length,
    formulas: document.querySelectorAll('.math').length,
    errors: document.querySelectorAll('mjx-merror').length,
    silent: [...document.images].filter(i => !i.alt.trim() || !i.naturalWidth).map(i => i.src),
    links: [...document.links].map(link => link.href),
    anchors: [...document.querySelectorAll('[id]')].map(element => element.id),
})"""


def test_every_page_loads_offline_and_fits_a_phone(site, page):
    links, anchors = {}, {}
    files = sorted(site.glob("**/*.html"))
    files = [file for file in files if "_static" not in file.parts]
    assert len(files) > 25
    for file in files:
        for width, height in SIZES:
            page.set_viewport_size({"width": width, "height": height})
            page.goto(file.as_uri())
            page.wait_for_function("!window.MathJax || MathJax.startup.promise.then(() => true)")
            form = page.evaluate(FORM)
            assert form["width"] <= width and form["errors"] == 0, file
            assert form["typeset"] == form["formulas"] and form["silent"] == [], file
        links[file], anchors[file] = form["links"], form["anchors"]
        if file.parent.name == "lessons" and file.stem != "index":
            assert form["typeset"] > 0
    assert page.problems == []
    for file, targets in links.items():
        for target, anchor in map(urldefrag, targets):
            if target.startswith("file:"):
                path = Path(unquote(urlsplit(target).path))
                assert path.is_file(), f"{file.name} leads to {target}"
                assert not anchor or unquote(anchor) in anchors[path], f"{target}#{anchor}"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_a_lesson_has_its_outputs_and_folds_its_solutions(source, site, page):
    copy = nbformat.read(NOTEBOOKS / f"{source.stem}.ipynb", 4)
    outputs = [output for cell in copy.cells for output in cell.get("outputs", [])]
    page.goto((site / "lessons" / f"{source.stem}.html").as_uri())
    pictures = sum("image/png" in output.get("data", {}) for output in outputs)
    assert page.locator(".cell_output img").count() == pictures
    text = page.locator("article").inner_text()
    assert "Panel({" not in text
    exercises = text.count("not done yet")
    for words, count in (("Solution", exercises), ("Hint", exercises), ("Answer", 5)):
        folded = page.locator("details", has=page.get_by_text(words, exact=True))
        assert folded.count() == count
        hidden = folded.first.locator("> :not(summary)").first
        assert not hidden.is_visible()
        folded.first.locator("summary").click()
        assert hidden.is_visible()


def test_a_lesson_whose_copy_is_older_than_its_source_is_refused(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(NOTEBOOKS))
    from build_site import lesson

    copy = nbformat.read(NOTEBOOKS / f"{SOURCES[0].stem}.ipynb", 4)
    copy.cells = [cell for cell in copy.cells if "alone(seed=0)" not in cell.source]
    nbformat.write(copy, tmp_path / "old.ipynb")
    with pytest.raises(ValueError, match=r"old.ipynb has not run .*: run notebooks/build.py"):
        lesson(SOURCES[0], tmp_path / "old.ipynb")


def test_a_link_to_the_evidence_stays_on_the_site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(NOTEBOOKS))
    from build_site import lesson

    text = SOURCES[0].read_text() + "\n[The page](../data/results/comparison/report.md).\n"
    (tmp_path / "linked.md").write_text(text)
    made = lesson(tmp_path / "linked.md", NOTEBOOKS / f"{SOURCES[0].stem}.ipynb")
    assert made.cells[-1].source.endswith("[The page](../evidence/comparison/report.md).")


def test_what_is_folded_away_in_a_lesson_is_left_out(site):
    text = "".join(file.read_text() for file in (site / "lessons").glob("0*.html"))
    assert "Takeaway" in text and "expect(" not in re.sub("<[^>]*>", "", text)


def test_the_search_finds_a_word_of_a_lesson(site, page):
    page.goto((site / "search.html").as_uri() + "?q=Vinyals")  # lesson 01 alone names him
    page.locator("#search-results li a").first.wait_for(timeout=20_000)
    found = page.locator("#search-results li a").first.get_attribute("href")
    assert "01_baseline_kd" in found and page.problems == []


def test_the_start_page_has_the_order_of_the_course(site, page):
    page.goto((site / "index.html").as_uri())
    titles = [re.search(r"^# (.*)", source.read_text(), re.MULTILINE)[1] for source in SOURCES]
    numbers, shown = (page.locator(f"td:nth-child({i})").all_inner_texts() for i in (1, 2))
    assert [number.strip() for number in numbers] == [source.stem[:2] for source in SOURCES]
    assert [title.strip() for title in shown] == titles
    for number in range(len(titles)):
        page.goto((site / "index.html").as_uri())
        page.locator("table a").nth(number).click()
        assert titles[number] in page.locator("h1").inner_text()


SLIDES = """() => Array.from({length: Reveal.getTotalSlides()}, (_, i) => {
    Reveal.slide(i);
    const slide = Reveal.getCurrentSlide(), texts = slide.querySelectorAll('p, li');
    const parts = [...slide.querySelectorAll('h1, h2, p, li, img, mjx-container')];
    const boxes = parts.map(part => part.getBoundingClientRect());
    return {
        text: slide.innerText,
        pictures: [...slide.querySelectorAll('img')].map(picture => picture.alt),
        bottom: Math.max(...boxes.map(box => box.bottom)),
        right: Math.max(...boxes.map(box => box.right)),
        letters: Math.min(...[...texts].map(text => parseFloat(getComputedStyle(text).fontSize))),
    };
})"""


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_the_slides_of_a_lesson_fit_and_can_be_read_from_the_back_row(source, slides, page):
    """At 1280 x 720 the letters are a twentieth of the height, and nothing hangs out."""
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto((slides / f"{source.stem}.html").as_uri())
    page.wait_for_function("MathJax.startup.promise.then(() => Reveal.isReady())")
    shown, text = page.evaluate(SLIDES), source.read_text()
    words = [slide["text"] for slide in shown]
    for mark, name in (("***Predict:***", "Predict:"), ("**Takeaway.**", "Takeaway.")):
        assert sum(f"\n{name}" in slide for slide in words) == text.count(f"\n{mark}")
    copy = nbformat.read(NOTEBOOKS / f"{source.stem}.ipynb", 4)
    outputs = [output for cell in copy.cells for output in cell.get("outputs", [])]
    pictures = [picture for slide in shown for picture in slide["pictures"]]
    assert len(pictures) == sum("image/png" in output.get("data", {}) for output in outputs)
    assert all(pictures) and page.locator("mjx-merror").count() == 0
    for number, slide in enumerate(shown):
        assert slide["bottom"] <= 720 and slide["right"] <= 1280, (number, slide)
        assert slide["letters"] is None or slide["letters"] >= 36, (number, slide)
    assert page.problems == []
