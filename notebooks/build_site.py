"""The course as a static site, in ``out/site``: it opens from the folder, without a server.

    .venv/bin/python notebooks/build_site.py [--out FOLDER]

Its own pages are in ``source/site``, the teacher's guide in ``source/teach``. The lessons are the
sources with the outputs of the students' copies, so nothing is executed; the evidence is
``data/results/*/report.md``; the reference comes from the docstrings. A warning of Sphinx is an
error, such as a link that leads nowhere.
"""

import argparse
import pkgutil
import re
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path

import build
import nbformat
from nbformat import NotebookNode, v4
from sphinx.cmd.build import main as sphinx

import rdlite

RESULTS = build.FOLDER.parent / "data" / "results"
PANEL = "*Sliders need a kernel: `make lab` has them. The picture below shows the same.*"
CONTENTS = "# {}\n\n{}\n\n```{{toctree}}\n:maxdepth: 1\n\n{}\n```\n"


def lesson(source: Path, copy: Path) -> NotebookNode:
    """A source's cells with the outputs that are stored in ``copy``; each picture has a text.

    Raises:
        ValueError: a cell that the copy has not run.
    """
    outputs = {cell.id: cell.get("outputs") for cell in nbformat.read(copy, 4).cells}
    made, heading = build.cells(source.read_text(encoding="utf-8"), "", solved=False), ""
    made = [cell for cell in made if "check" not in cell.metadata.get("tags", [])]
    for cell in made:
        if cell.cell_type == "markdown":
            heading = [heading, *re.findall(r"^#+ (.*)", cell.source, re.MULTILINE)][-1]
            cell.source = re.sub(r"(</summary>)(?=\S)", r"\1\n\n   ", cell.source)
            cell.source = cell.source.replace("](../data/results/", "](../evidence/")
            continue
        if not outputs.get(cell.id):
            if cell.id not in outputs:
                raise ValueError(f"{copy.name} has not run {cell.source!r}: run notebooks/build.py")
            continue
        titles = re.findall(r'title\w*\(\s*"([^"{}]+)"|\btitle="([^"{}]+)"', cell.source)
        words = ". ".join(filter(None, map("".join, titles))) or heading
        cell.metadata["mystnb"] = {"image": {"alt": words}}
        cell.outputs = [panel_as_words(output) for output in outputs[cell.id]]
    return v4.new_notebook(cells=made, metadata={"kernelspec": build.KERNEL})


def panel_as_words(output: NotebookNode) -> NotebookNode:
    """What stands for a panel, whose stored output is its name and state."""
    if re.match(r"\w+Panel\(", output.get("data", {}).get("text/plain", "")):
        return v4.new_output("display_data", {"text/markdown": PANEL})
    return output


def reference(folder: Path) -> None:
    """A page for each entry of rdlite, with a part for each of its modules."""
    pages = []
    for entry in pkgutil.iter_modules(rdlite.__path__, "rdlite."):
        if entry.name == "rdlite.__main__":
            continue
        names = [entry.name]
        if entry.ispkg:
            inside = pkgutil.iter_modules(import_module(entry.name).__path__, f"{entry.name}.")
            names += [module.name for module in inside]
        parts = [f"{names[0]}\n{'=' * len(names[0])}\n\n.. automodule:: {names[0]}\n"]
        if not entry.ispkg:
            parts[0] += "   :members:\n"
        for name in names[1:]:
            parts.append(f"{name}\n{'-' * len(name)}\n\n.. automodule:: {name}\n   :members:\n")
        (folder / f"{entry.name}.rst").write_text("\n".join(parts))
        pages.append(entry.name)
    first = (rdlite.__doc__ or "").split("\n\n", 1)[1]
    (folder / "index.md").write_text(CONTENTS.format("Reference", first, "\n".join(pages)))


def lay_out(pages: Path, folder: Path) -> None:
    """Write everything that Sphinx reads to ``pages``."""
    shutil.copytree(folder / "source" / "site", pages, dirs_exist_ok=True)
    for part in ("lessons", "evidence", "api"):
        (pages / part).mkdir()
    stems = []
    for source in sorted((folder / "source").glob("[0-9]*.md")):
        stems.append(source.stem)
        copy = folder / f"{source.stem}.ipynb"
        nbformat.write(lesson(source, copy), pages / "lessons" / copy.name)
    (pages / "lessons" / "index.md").write_text(CONTENTS.format("Lessons", "", "\n".join(stems)))
    guide = shutil.copytree(folder / "source" / "teach", pages / "teach")
    names = "\n".join(sorted(page.stem for page in guide.glob("*.md")))
    (guide / "index.md").write_text(CONTENTS.format("Teacher's guide", "", names))
    reports = sorted(RESULTS.glob("*/report.md"))
    for report in reports:
        shutil.copytree(report.parent, pages / "evidence" / report.parent.name)
    names = "\n".join(f"{report.parent.name}/report" for report in reports)
    (pages / "evidence" / "index.md").write_text(CONTENTS.format("Evidence", "", names))
    reference(pages / "api")


def main(arguments: list[str] | None = None, folder: Path = build.FOLDER) -> int:
    """Build the site of the notebooks of ``folder``; Sphinx's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=folder.parent / "out" / "site")
    out = parser.parse_args(arguments).out
    with tempfile.TemporaryDirectory() as pages:
        lay_out(Path(pages), folder)
        shutil.rmtree(out, ignore_errors=True)
        return sphinx(["-q", "-W", "--keep-going", "-d", f"{pages}/.doctrees", pages, str(out)])


if __name__ == "__main__":
    sys.exit(main())
