"""One source a notebook, two executed copies: for students, and with the solutions run.

    .venv/bin/python notebooks/build.py [NAMES] [--check] [--public-url URL]

Source: ``source/NN_name.md``. Text is Markdown; a line ``+++`` starts a new text cell. A fence
``python`` is a code cell, and the words after it are its tags:

    live        sampled or trained: run by nbval, but its output is not compared
    exercise    the student's stub; the instructor's copy has the next solution in its place
    solution    folded, in the student's copy; the text around it stays in one cell

Code that is only shown goes in a fence of another name, such as ``py``. Copies are executed with
one thread and hold no widget state, timings or versions. A cell's id is a hash of its text, so
that a rebuild changes only what changed.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import os
import re
import sys
from pathlib import Path

import nbclient
import nbformat
from nbformat import NotebookNode, v4
from PIL import Image

FOLDER = Path(__file__).resolve().parent
TAGS = {"live", "exercise", "solution"}
FENCE = re.compile(r"^```python\b([^\n]*)\n(.*?)^```$\n?", re.DOTALL | re.MULTILINE)
URL = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+")
WIDGET = "application/vnd.jupyter.widget-view+json"  # its random id points at nothing once saved
FOLDED = "<details><summary>Solution</summary>\n\n```python\n{}\n```\n\n</details>"
BADGES = """\
[![Binder](https://mybinder.org/badge_logo.svg)](https://mybinder.org/v2/gh/{0}/HEAD?labpath={1})
[![Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/{0}/blob/main/{1})
"""
COLAB = """\
import pathlib, sys  # in Colab this cell installs rdlite; elsewhere it does nothing
if "google.colab" in sys.modules and not pathlib.Path("{1}").exists():
    !git clone --quiet --depth 1 https://github.com/{0}
    %pip install --quiet -e {1}
    sys.path.insert(0, "{1}")"""


def split(text: str) -> list[tuple[set[str], str]]:
    """Source text -> (tags, content) in order; Markdown has the tag ``markdown``.

    Raises:
        ValueError: an unknown tag, a fence left open, an exercise without a solution after it.
    """
    parts, end = [], 0
    for fence in [*FENCE.finditer(text), None]:
        for words in re.split(r"^\+\+\+$", text[end : fence and fence.start()], flags=re.MULTILINE):
            if "```python" in words:
                raise ValueError(f"a python fence is left open after {words.strip()[:60]!r}")
            if words.strip():
                parts.append(({"markdown"}, words.strip()))
        if fence:
            tags, end = set(fence[1].split()), fence.end()
            if tags - TAGS:
                raise ValueError(f"unknown tags {sorted(tags - TAGS)}, use {sorted(TAGS)}")
            parts.append((tags, fence[2].rstrip()))
    pairs = [tag for tags, _ in parts for tag in ("exercise", "solution") if tag in tags]
    if pairs != ["exercise", "solution"] * (len(pairs) // 2):
        raise ValueError(f"every exercise needs one solution after it, got {pairs}")
    return parts


def cells(text: str, copy: str, *, solved: bool, public: str = "") -> list[NotebookNode]:
    """The cells of one copy, not executed.

    Args:
        text: the source.
        copy: the copy's path from the project's root, for the badges.
        solved: the instructor's copy.
        public: OWNER/REPO for badges and the Colab cell, or nothing.
    """
    parts = split(text)
    solutions = iter([(tags, code) for tags, code in parts if "solution" in tags])
    made: list[tuple[set[str], str]] = []
    goes_on = False  # text around a solution stays in one cell
    for tags, content in parts:
        is_solution = "solution" in tags
        if is_solution and not solved:
            tags, content, goes_on = {"markdown"}, FOLDED.format(content), True
        if "exercise" in tags and solved:
            tags, content = next(solutions)
        if goes_on and tags == {"markdown"} == made[-1][0]:
            made[-1] = (tags, f"{made[-1][1]}\n\n{content}")
        elif not (is_solution and solved):
            made.append((tags, content))
        goes_on = is_solution
    if public:
        made[0] = (made[0][0], BADGES.format(public, copy) + "\n" + made[0][1])
        made.insert(1, (set(), COLAB.format(public, public.split("/")[1])))
    return [_cell(i, tags, content, made) for i, (tags, content) in enumerate(made)]


def _cell(i: int, tags: set[str], content: str, made: list) -> NotebookNode:
    repeats = sum(content == other for _, other in made[:i])
    name = hashlib.sha256(f"{content}{repeats or ''}".encode()).hexdigest()[:12]
    if "markdown" in tags:
        return v4.new_markdown_cell(content, id=name)
    names = sorted("nbval-ignore-output" if tag == "live" else tag for tag in tags)
    return v4.new_code_cell(content, id=name, metadata={"tags": names} if names else {})


def execute(made: list[NotebookNode], folder: Path) -> NotebookNode:
    """Run the cells in ``folder`` and clean what a rebuild would change for no reason.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    notebook = v4.new_notebook(cells=made)
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    folder.mkdir(exist_ok=True)
    nbclient.NotebookClient(
        notebook,
        kernel_name="python3",
        timeout=1800,
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()
    for output in (o for cell in notebook.cells for o in cell.get("outputs", [])):
        data = output.get("data", {})
        data.pop(WIDGET, None)  # the plain text stays, and is shown
        if "image/png" in data:
            data["image/png"] = smaller(data["image/png"])
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    return nbformat.from_dict(notebook)


def smaller(png: str) -> str:
    """The same picture in at most 256 colours, a third of the size; base64 in and out."""
    picture = Image.open(io.BytesIO(base64.b64decode(png)))
    file = io.BytesIO()
    picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def up_to_date(copy: Path, made: list[NotebookNode]) -> bool:
    """Whether ``copy`` is executed and has these cells; outputs are nbval's business."""
    if not copy.exists():
        return False
    stored = nbformat.read(copy, 4).cells
    run = all(cell.execution_count for cell in stored if cell.cell_type == "code")
    parts = ("id", "cell_type", "source", "metadata")
    same = [[c[k] for k in parts] for c in stored] == [[c[k] for k in parts] for c in made]
    return run and same


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Build or check the notebooks of ``folder``; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAMES", help="such as 04; by default all")
    parser.add_argument("--check", action="store_true", help="only say which copies are stale")
    parser.add_argument("--public-url", help="https://github.com/OWNER/REPO, or '' for none; kept")
    options = parser.parse_args(arguments)
    sources = sorted((folder / "source").glob("[0-9]*.md"))
    remembered = folder / "source" / "public-url.txt"
    if options.public_url is not None:
        if options.names or options.check:
            parser.error("--public-url changes every notebook: give no NAMES and no --check")
        if options.public_url and not URL.fullmatch(options.public_url):
            parser.error("--public-url must be https://github.com/OWNER/REPO")
        remembered.write_text(options.public_url + "\n")
    public = remembered.read_text().strip() if remembered.exists() else ""
    public = public.removeprefix("https://github.com/")
    chosen = [s for s in sources if any(s.stem.startswith(n) for n in options.names or [""])]
    if not chosen or not all(any(s.stem.startswith(n) for s in sources) for n in options.names):
        parser.error(f"no such notebook; there are {', '.join(s.stem for s in sources) or 'none'}")
    expected = {f"{s.stem}.ipynb" for s in sources}
    found = [*folder.glob("*.ipynb"), *folder.glob("solutions/*.ipynb")]
    stale = [copy for copy in found if copy.name not in expected and not options.names]
    for source, inside in ((s, inside) for s in chosen for inside in ("", "solutions")):
        copy = folder / inside / f"{source.stem}.ipynb"
        path = copy.relative_to(folder).as_posix()
        text = source.read_text(encoding="utf-8")
        made = cells(text, f"notebooks/{path}", solved=bool(inside), public=public)
        if options.check:
            stale += [] if up_to_date(copy, made) else [copy]
            continue
        nbformat.write(execute(made, copy.parent), copy)
        print(f"built {path}")
    for copy in stale:
        print(f"{copy.relative_to(folder)} is not what its source makes: run notebooks/build.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
