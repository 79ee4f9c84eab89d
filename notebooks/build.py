"""One source a notebook, two executed copies: for students, and with the solutions run.

    .venv/bin/python notebooks/build.py [NAMES] [--check] [--public-url URL]

Source: ``source/NN_name.md``, MyST Markdown, which jupytext opens as a notebook. ``+++`` starts a
new text cell, a fence ``{code-cell} ipython3`` a code cell; ``:tags: [live]`` below it is its tags:

    live        sampled or trained: run by nbval, but its output is not compared
    check       whether what the text says came out; its code is folded away
    exercise    the student's stub; the instructor's copy has the next solution in its place
    solution    folded, in the student's copy; the text around it stays in one cell

Outputs of the code between a *Predict* and the next text are collapsed, but for panels
and verdicts on exercises.

Copies are executed with one thread and hold no widget state, timings or versions. A cell's id is a
hash of its text, so that a rebuild changes only what changed.
"""

import argparse
import base64
import hashlib
import io
import os
import re
import sys
from itertools import product, zip_longest
from pathlib import Path

import jupytext
import nbclient
import nbformat
from nbformat import NotebookNode, v4
from PIL import Image

FOLDER = Path(__file__).resolve().parent
FENCE = "```{code-cell} ipython3"
TAGS = {"live": "nbval-ignore-output"} | {t: t for t in ("exercise", "solution", "check")}
PREDICT = "***Predict:***"
URL = re.compile(r"(https://github\.com/[\w.-]+/[\w.-]+)?")
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
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


def read(text: str) -> list[NotebookNode]:
    """The cells of a source, each with a list ``metadata.tags``.

    Raises:
        ValueError: a fence left open, an unknown tag, an exercise without a solution after it.
    """
    fences = [*re.finditer("^```.*", text, re.MULTILINE)]
    for start, end in zip_longest(fences[::2], fences[1::2]):
        line = text.count("\n", 0, start.start()) + 1
        if end is None or end[0] != "```":
            raise ValueError(f"line {line}: the fence {start[0]!r} is left open")
        if "{" in start[0] and start[0] != FENCE:
            raise ValueError(f"line {line}: code cells start with {FENCE!r}, got {start[0]!r}")
    found = jupytext.reads(text, "md:myst").cells
    for cell in found:
        tags = cell.metadata.setdefault("tags", [])
        if set(cell.metadata) != {"tags"} or set(tags) - set(TAGS):
            raise ValueError(f"unknown tags {dict(cell.metadata)}, use a list of {[*TAGS]}")
    pairs = [tag for cell in found for tag in cell.metadata.tags if tag in ("exercise", "solution")]
    if pairs != ["exercise", "solution"] * (len(pairs) // 2):
        raise ValueError(f"every exercise needs one solution after it, got {pairs}")
    return found


def cells(text: str, copy: str, *, solved: bool, public: str = "") -> list[NotebookNode]:
    """The cells of a source's copy for students, or of the one with solutions, not executed.

    With ``public``, an OWNER/REPO, it has badges that open the path ``copy``, and a cell for Colab.
    """
    found, made, after = read(text), [], False
    solutions = iter([cell for cell in found if "solution" in cell.metadata.tags])
    for cell in found:
        solution = "solution" in cell.metadata.tags
        if solution:
            cell = v4.new_markdown_cell("" if solved else FOLDED.format(cell.source))
        elif solved and "exercise" in cell.metadata.tags:
            cell = next(solutions)
        if (solution or after) and made[-1].cell_type == cell.cell_type == "markdown":
            made[-1].source = f"{made[-1].source}\n\n{cell.source}".strip()
        else:
            made.append(cell)
        after = solution
    if public:
        made[0].source = BADGES.format(public, copy) + made[0].source
        made.insert(1, v4.new_code_cell(COLAB.format(public, public.split("/")[1])))
    made = [cell for cell in made if cell.source]
    for i, cell in enumerate(made):
        repeats = sum(cell.source == other.source for other in made[:i])
        cell.id = hashlib.sha256(f"{cell.source}{repeats or ''}".encode()).hexdigest()[:12]
        tags = sorted(TAGS[tag] for tag in cell.metadata.get("tags", []))
        cell.metadata = {"tags": tags} if tags else {}
    asked = False
    for cell in made:  # what answers a question stays closed until it is clicked
        if cell.cell_type == "markdown":
            asked = PREDICT in cell.source
        elif asked and "panels." not in cell.source and "exercises." not in cell.source:
            cell.metadata["jupyter"] = {"outputs_hidden": True}
        elif "check" in cell.metadata.get("tags", []):
            cell.metadata["jupyter"] = {"source_hidden": True}
    return made


def execute(made: list[NotebookNode], folder: Path) -> NotebookNode:
    """Run the cells in ``folder`` and drop what a rebuild would change for no reason."""
    notebook = v4.new_notebook(cells=made, metadata={"kernelspec": KERNEL})
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1", RDLITE_LESSONS="1")
    folder.mkdir(exist_ok=True)
    place = {"metadata": {"path": str(folder)}}
    clean = {"record_timing": False, "store_widget_state": False, "coalesce_streams": True}
    nbclient.NotebookClient(notebook, timeout=1800, resources=place, **clean).execute()
    for output in (o for cell in notebook.cells for o in cell.get("outputs", [])):
        data = output.get("data", {})
        data.pop(WIDGET, None)  # the plain text stays, and is shown
        if "image/png" in data:
            data["image/png"] = smaller(data["image/png"])
    notebook.metadata.language_info = {"name": "python"}
    return nbformat.from_dict(notebook)


def smaller(png: str) -> str:
    """The same picture in at most 256 colours, a third of the size; base64 in and out."""
    picture, file = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGB"), io.BytesIO()
    picture.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def up_to_date(copy: Path, made: list[NotebookNode]) -> bool:
    """Whether ``copy`` is executed and has these cells; outputs are nbval's business."""
    stored = nbformat.read(copy, 4).cells if copy.exists() else []
    run = all(cell.execution_count for cell in stored if cell.cell_type == "code")
    parts = ("id", "cell_type", "source", "metadata")
    return run and [[c[k] for k in parts] for c in stored] == [[c[k] for k in parts] for c in made]


def main(arguments: list[str] | None = None, folder: Path = FOLDER) -> int:
    """Build or check the notebooks of ``folder``; 0 if all is well."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAMES", help="such as 04; by default all")
    parser.add_argument("--check", action="store_true", help="only say which copies are stale")
    parser.add_argument("--public-url", help="https://github.com/OWNER/REPO, or '' for none; kept")
    options = parser.parse_args(arguments)
    remembered = folder / "source" / "public-url.txt"
    if options.public_url is not None:
        if options.names or options.check:
            parser.error("--public-url changes every notebook: give no NAMES and no --check")
        if not URL.fullmatch(options.public_url):
            parser.error("--public-url must be https://github.com/OWNER/REPO")
        remembered.write_text(options.public_url + "\n")
    public = remembered.read_text().strip() if remembered.exists() else ""
    public = public.removeprefix("https://github.com/")
    stems = sorted(source.stem for source in (folder / "source").glob("[0-9]*.md"))
    for name in options.names or [""]:
        if not any(stem.startswith(name) for stem in stems):
            parser.error(f"no notebook {name!r}; there are {', '.join(stems) or 'none'}")
    copies = [*folder.glob("*.ipynb"), *folder.glob("solutions/*.ipynb")]
    stale = [copy.relative_to(folder) for copy in copies if copy.stem not in stems]
    chosen = [stem for stem in stems if stem.startswith(tuple(options.names or [""]))]
    for stem, inside in product(chosen, ("", "solutions")):
        copy = Path(inside, f"{stem}.ipynb")
        text = (folder / "source" / f"{stem}.md").read_text(encoding="utf-8")
        made = cells(text, f"notebooks/{copy.as_posix()}", solved=bool(inside), public=public)
        if not options.check:
            nbformat.write(execute(made, folder / inside), folder / copy)
            print(f"built {copy}")
        elif not up_to_date(folder / copy, made):
            stale.append(copy)
    for copy in stale:
        print(f"{copy} is not what its source makes: run notebooks/build.py")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
