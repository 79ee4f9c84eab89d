"""Slides for each notebook, in ``out/slides``: they open from the folder, without a server.

    .venv/bin/python notebooks/build_slides.py [--out FOLDER]

A lesson already has the rhythm of a talk: its title and what one will learn, then every *Predict*,
picture and Takeaway as a slide under the heading of its part, at last the three lines. nbconvert
writes the page by the template in ``source/slides``; reveal.js and MathJax lie beside it.
"""

import argparse
import re
import shutil
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import build
from build_site import lesson
from nbconvert import SlidesExporter
from nbformat import NotebookNode, v4

SCRIPTS = {  # folder beside the slides -> (package, folder in it, what is needed)
    "reveal": ("sphinx_revealjs", "_static/revealjs", ["dist", "plugin/notes"]),
    "mathjax": (
        "sphinx-mathjax-offline",
        "static/mathjax",
        ["tex-chtml.js", "output/chtml/fonts"],
    ),
}
SLIDE = re.compile(r"\*\*\*Predict:\*\*\*|\*\*Takeaway\.\*\*")
HEADING = re.compile(r"^##+ (.*)", re.MULTILINE)


def slides(cells: list[NotebookNode]) -> Iterator[NotebookNode]:
    """The slides of a lesson, each a cell."""
    title = re.search(r"^# .*", cells[0].source, re.MULTILINE)
    learn = cells[0].source.split("**What you will learn**")[1].split("**Prerequisites")[0]
    yield v4.new_markdown_cell(f"{title[0] if title else ''}\n{learn}")
    heading = ""
    for cell in cells:
        if cell.cell_type == "code":
            for output in cell.get("outputs", []):
                if "image/png" in output.get("data", {}):
                    output.metadata = {"image/png": cell.metadata["mystnb"]["image"]}
                    yield v4.new_code_cell(outputs=[output])
            continue
        for paragraph in re.split(r"\n\n+", cell.source):
            if found := HEADING.match(paragraph):
                heading = found[1]
            elif SLIDE.match(paragraph) or heading == "In three lines":
                yield v4.new_markdown_cell(f"## {heading}\n\n{paragraph}")


def lay_scripts(out: Path) -> None:
    """Copy reveal.js, MathJax and the sheet of styles to ``out``.

    Raises:
        FileNotFoundError: a package that is not installed.
    """
    for name, (package, folder, parts) in SCRIPTS.items():
        spec = find_spec(package)
        if spec is None or spec.origin is None:
            raise FileNotFoundError(f"no package {package}: run make slides, which installs it")
        for part in parts:
            source, target = Path(spec.origin).parent / folder / part, out / name / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.map"))
            else:
                shutil.copy(source, target)
    shutil.copy(build.FOLDER / "source" / "slides" / "slides.css", out)


def main(arguments: list[str] | None = None, folder: Path = build.FOLDER) -> int:
    """Write the slides of the notebooks of ``folder``."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=folder.parent / "out" / "slides")
    out = parser.parse_args(arguments).out
    shutil.rmtree(out, ignore_errors=True)
    lay_scripts(out)
    exporter = SlidesExporter(
        extra_template_basedirs=[str(folder / "source")],
        template_name="slides",
        reveal_url_prefix="reveal",
        reveal_theme="white",  # its letters lie beside it, those of others come from the network
        exclude_input=True,
    )
    for source in sorted((folder / "source").glob("[0-9]*.md")):
        cells = [*slides(lesson(source, folder / f"{source.stem}.ipynb").cells)]
        for cell in cells:
            cell.metadata["slideshow"] = {"slide_type": "slide"}
        notebook = v4.new_notebook(cells=cells, metadata={"title": source.stem})
        page, _ = exporter.from_notebook_node(notebook)
        (out / f"{source.stem}.html").write_text(page, encoding="utf-8")
        print(f"{source.stem}: {len(cells)} slides")
    return 0


if __name__ == "__main__":
    sys.exit(main())
