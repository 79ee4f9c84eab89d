"""`make class`: the assignments that nbgrader hands out and grades, with the real nbgrader."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from test_exercises import CHECKS, WRONG

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
SOURCES = sorted(NOTEBOOKS.glob("source/[0-9]*.md"))
GRADED = "04_theory_insight"
STUB = "raise NotImplementedError"
FORGOT = "return float((weights @ (p - eta).abs()).max())"  # 4.2 without the class profiles

sys.path.insert(0, str(NOTEBOOKS))
import build_class  # noqa: E402


def cells_of(notebook, part):
    """Its cells that nbgrader knows as ``grade`` or ``solution``."""
    return [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get(part)]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_every_exercise_is_an_answer_and_a_check_worth_a_point(source):
    text = source.read_text(encoding="utf-8")
    notebook = build_class.assignment(text)
    nbformat.validate(notebook)
    answers, checks = cells_of(notebook, "solution"), cells_of(notebook, "grade")
    assert len(answers) == len(checks) == text.count(":tags: [exercise]") >= 2
    for answer, check in zip(answers, checks, strict=True):
        assert answer.source.count("### BEGIN SOLUTION\n") == 1 and STUB not in answer.source
        assert check.source.split("\n")[-1].startswith("exercises.check_" + check.id[-3])
        assert check.metadata.nbgrader.points == 1 and check.metadata.nbgrader.locked


GUIDES = sorted(NOTEBOOKS.glob("source/teach/[0-9]*.md"))
guides = pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.stem)


def part(guide, heading):
    """The rows of the table under a heading of a guide, each a list of its cells."""
    text = guide.read_text(encoding="utf-8").split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return rows[2:]


@guides
def test_a_plan_fills_its_minutes_and_has_an_answer_to_every_prediction(guide):
    plan = part(guide, "Ninety minutes")
    spans = [tuple(map(int, row[0].split("-"))) for row in plan]
    assert [start for start, _ in spans] == [0, *(end for _, end in spans[:-1])]
    assert spans[-1][1] == 90 and {row[2] for row in plan} == {"must", "may"}
    lesson = (NOTEBOOKS / "source" / guide.name).read_text(encoding="utf-8")
    assert len(part(guide, "What to expect of each *Predict*")) == lesson.count("***Predict:***")


@guides
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # planted
def test_each_line_of_a_guide_is_what_a_wrong_answer_gets(guide, capsys):
    for name, answers in WRONG.items():
        for answer in answers:
            CHECKS[name](answer)
    lines = capsys.readouterr().out.splitlines()
    quoted = [row[0].strip("`") for row in part(guide, "What a wrong answer betrays")]
    assert quoted and set(quoted) <= set(lines)


STUBBED = f"def two():\n    {STUB}\n\n\nexercises.check_9_1(two)"


@pytest.mark.parametrize(
    "solution",
    [
        "def two():\n    return 2",  # no check
        "import math\ndef two():\n    return 2\n\n\nexercises.check_9_1(two)",  # another beginning
    ],
)
def test_a_solution_that_nbgrader_could_not_cut_is_refused(solution):
    with pytest.raises(ValueError, match="a solution is its stub with a body and a check, got"):
        build_class.graded(STUBBED, solution)


@pytest.mark.extra
def test_nbgrader_gives_no_point_some_or_all(tmp_path):
    out = tmp_path / "class"
    assert build_class.main(["--out", str(out)]) == 0
    files = sorted(path.relative_to(out / "release") for path in out.glob("release/**/*.*"))
    assert files == [Path(source.stem, f"{source.stem}.ipynb") for source in SOURCES]
    for file in files:
        released = nbformat.read(out / "release" / file, 4)
        code = [cell for cell in released.cells if cell.cell_type == "code"]
        assert not any(cell.outputs or cell.execution_count for cell in code)
        text = nbformat.writes(released)
        assert not re.search(r"SOLUTION|HIDDEN|STRICT|<summary>Solution", text)
        assert all(STUB in answer.source for answer in cells_of(released, "solution"))

    notebook = nbformat.read(out / "release" / GRADED / f"{GRADED}.ipynb", 4)
    solved = nbformat.read(out / "source" / GRADED / f"{GRADED}.ipynb", 4)
    submit(out, "untouched", notebook)
    right = [answer.source for answer in cells_of(solved, "solution")]
    wrong = [answer.source for answer in cells_of(notebook, "solution")]
    submit(out, "right", notebook, right)
    submit(out, "partial", notebook, [right[0], wrong[1].replace(STUB, FORGOT), wrong[2]])
    nbgrader(out, "autograde", GRADED)
    assert points(out) == {"untouched": 0, "partial": 1, "right": 3}

    settings = out / "nbgrader_config.py"
    settings.write_text(f"{settings.read_text()}# the teacher's own\n")
    assert build_class.main(["--out", str(out)]) == 0, "again, with grades there"
    assert settings.read_text().endswith("# the teacher's own\n")
    assert points(out) == {"untouched": 0, "partial": 1, "right": 3}


def submit(out, student, notebook, answers=()):
    for cell, answer in zip(cells_of(notebook, "solution"), answers, strict=False):
        cell.source = answer
    folder = out / "submitted" / student / GRADED
    folder.mkdir(parents=True)
    nbformat.write(notebook, folder / f"{GRADED}.ipynb")


def nbgrader(out, *arguments):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {"PATH": path, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "nbgrader", *arguments]
    ran = subprocess.run(command, cwd=out, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def points(out):
    """Student -> points, as nbgrader exports them."""
    nbgrader(out, "export", "--to=grades.csv")
    with (out / "grades.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["assignment"] == GRADED]
    return {row["student_id"]: float(row["score"]) for row in rows}
