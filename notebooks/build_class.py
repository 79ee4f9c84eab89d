"""A class on Monday: every notebook as an assignment of nbgrader, in ``out/class``.

    .venv/bin/python notebooks/build_class.py [--out FOLDER]

From ``source/NN_name.md``, as the copies of build.py:

    source/NN_name/NN_name.ipynb     solved, each answer and its check in cells of their own
    release/NN_name/NN_name.ipynb    what students get: nbgrader takes solutions and outputs away

The folder is a course of nbgrader, so ``nbgrader autograde NN_name`` grades there what lies in
``submitted/STUDENT/NN_name/``. Each exercise is worth one point.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import build
import nbformat
from nbformat import NotebookNode, v4

CHECK = re.compile(r"\n+^exercises\.check_(\d_\d)\(\w+\)$", re.MULTILINE)
STUB = "    raise NotImplementedError"
ANSWER = """\
{before}    ### BEGIN SOLUTION
{body}
    ### END SOLUTION"""
GRADED = """\
### BEGIN HIDDEN TESTS
import os
os.environ["RDLITE_STRICT"] = "1"  # a check that only prints would give an empty answer its point
### END HIDDEN TESTS
{check}"""
COURSE = """\
c = get_config()
c.CourseDirectory.course_id = "rdlite"
c.ClearSolutions.code_stub = {"python": "raise NotImplementedError"}
c.ExecutePreprocessor.timeout = 1800
"""


def assignment(text: str) -> NotebookNode:
    """The notebook of a source with nbgrader's cells in place of its exercises.

    Raises:
        ValueError: a solution that does not begin as its stub, or that no check follows.
    """
    exercises = [cell for cell in build.read(text) if "exercise" in cell.metadata.tags]
    stubs, made = iter(exercises), []
    for cell in build.cells(text, "", solved=True):
        if "solution" in cell.metadata.get("tags", []):
            made += graded(next(stubs).source, cell.source)
        else:
            made.append(cell)
    return v4.new_notebook(cells=made, metadata={"kernelspec": build.KERNEL})


def graded(stub: str, solution: str) -> list[NotebookNode]:
    """The cell of the answer and the cell of its check; what a solution shows after it is left out.

    Raises:
        ValueError: the solution does not begin as its stub, or no check follows.
    """
    before, check = stub.partition(STUB)[0], CHECK.search(solution)
    if not check or before == stub or not solution.startswith(before):
        raise ValueError(f"a solution is its stub with a body and a check, got {solution!r}")
    body = solution[len(before) : check.start()]
    answer = v4.new_code_cell(ANSWER.format(before=before, body=body))
    asked = v4.new_code_cell(GRADED.format(check=check[0].strip()))
    number = check[1].replace("_", "-")
    for cell, grade in ((answer, False), (asked, True)):
        cell.id = f"{'check' if grade else 'answer'}-{number}"
        kind = {"grade": grade, "solution": not grade, "locked": grade, "task": False}
        points = {"points": 1} if grade else {}
        cell.metadata["nbgrader"] = {"grade_id": cell.id, "schema_version": 3, **kind, **points}
    return [answer, asked]


def main(arguments: list[str] | None = None, folder: Path = build.FOLDER) -> int:
    """Write the course of the notebooks of ``folder``; nbgrader's exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=folder.parent / "out" / "class")
    out = parser.parse_args(arguments).out
    names = []
    for source in sorted((folder / "source").glob("[0-9]*.md")):
        names.append(source.stem)
        (out / "source" / source.stem).mkdir(parents=True, exist_ok=True)
        notebook = assignment(source.read_text(encoding="utf-8"))
        nbformat.write(notebook, out / "source" / source.stem / f"{source.stem}.ipynb")
    if not (settings := out / "nbgrader_config.py").exists():  # a teacher's own are kept
        settings.write_text(COURSE)
    command = [sys.executable, "-m", "nbgrader", "generate_assignment", "--force"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for name in names:  # nbgrader looks for alembic on the path, beside this Python
        code = subprocess.run([*command, name], cwd=out, env=os.environ | {"PATH": path}).returncode
        if code:
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
