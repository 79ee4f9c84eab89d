"""The notebooks: their form, their sources, and controls that the strict check can fail.

The strict check itself runs every notebook and is a call of its own:

    OMP_NUM_THREADS=1 .venv/bin/python -m pytest -o addopts= --nbval --nbval-current-env notebooks
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import v4

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
STUDENT = sorted(NOTEBOOKS.glob("*.ipynb"))
SOURCES = sorted(NOTEBOOKS.glob("source/[0-9]*.md"))
COPIES = STUDENT + sorted(NOTEBOOKS.glob("solutions/*.ipynb"))
QUICKEST = NOTEBOOKS / "solutions" / "06_paper_scale_gpu.ipynb"
TWICE = COPIES if os.environ.get("RDLITE_NOTEBOOKS") == "all" else [QUICKEST]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
STRIP = [sys.executable, "-m", "nbstripout"]
PATHS = re.compile(
    r"(?<![\w.])/(?:home|root|tmp|usr|work|mnt|Users|content)/|[A-Z]:\\|site-packages"
)
RANDOM = re.compile(r"\b(rand|randn|randint|randperm|normal|multinomial|sample|add_noise)\(")

spec = importlib.util.spec_from_file_location("build", NOTEBOOKS / "build.py")
build = importlib.util.module_from_spec(spec)
spec.loader.exec_module(build)


def name_of(path):
    return path.relative_to(NOTEBOOKS).as_posix()


def problems(notebook):
    """What is wrong with a notebook's form, in words; nbval judges the outputs."""
    cells = notebook.cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    found = []

    def demand(good, words):
        if not good:
            found.append(words)

    counts = [cell.execution_count for cell in code]
    demand(counts == [*range(1, len(code) + 1)], f"execution counts {counts}")
    checks = [cell for cell in code if "check" in cell.metadata.get("tags", [])]
    count = len(cells) - 2 * len(checks)  # folded away, each in the middle of a text
    demand(25 <= count <= 60, f"{count} cells")
    kinds = "".join(cell.cell_type[0] for cell in cells)
    demand("ccc" not in kinds, "three code cells in a row")
    for cell in code:
        lines = len(cell.source.splitlines())
        most = 24 if "solution" in cell.metadata.get("tags", []) else 12
        demand(cell in checks or lines <= most, f"a code cell of {lines} lines")
    demand(set(notebook.metadata) == {"kernelspec", "language_info"}, "metadata, such as widgets")
    outputs = [output for cell in code for output in cell.outputs]
    data = [kind for output in outputs for kind in output.get("data", {})]
    demand(set(data) <= {"text/plain", "text/html", "image/png"}, f"outputs {sorted(set(data))}")
    demand(all(o.output_type != "error" for o in outputs), "a traceback")
    demand(all(o.get("name") != "stderr" for o in outputs), "stderr")
    shown = [cell.source for cell in cells]
    shown += [str(o.get("text", o.get("data", {}).get("text/plain", ""))) for o in outputs]
    demand(not any(PATHS.search(text) for text in shown), "an absolute path")
    demand(not any(" at 0x" in text for text in shown), "an address in memory")
    for cell in code:
        seeded = re.search(r"seed|generator", cell.source)
        demand(seeded or not RANDOM.search(cell.source), f"no seed: {cell.source[:50]!r}")
    return found + first_screen(cells[0].source) + ending(cells)


def first_screen(text):
    learn = re.search(r"\*\*What you will learn\*\*\n\n((?:- .*\n(?:  .*\n)*)+)", text)
    parts = {
        "the title is a question": re.search(r"^# .*\?$", text, re.MULTILINE),
        "at most 4 things to learn": learn and 1 <= learn[1].count("\n- ") + 1 <= 4,
        "prerequisites": "**Prerequisites:**" in text,
        "minutes on a 2-core laptop": re.search(
            r"\*\*Time:\*\*.*minute.*2-core\s+laptop", text, re.S
        ),
        "GPU": "**GPU:**" in text,
    }
    return [f"first screen: {words}" for words, good in parts.items() if not good]


def ending(cells):
    text = "\n\n".join(cell.source for cell in cells[-3:])
    sections = re.split(r"^## ", text, flags=re.MULTILINE)[-3:]
    wanted = [("In three lines", 3), ("Five questions", 5), ("Three things to change", 3)]
    found = []
    for section, (heading, lines) in zip(sections, wanted, strict=False):
        numbered = len(re.findall(r"^\d\. ", section, re.MULTILINE))
        if not section.startswith(heading) or numbered != lines:
            found.append(f"ending: {heading!r} with {lines} lines, got {numbered}")
    if len(sections) < 3 or sections[1].count("<summary>Answer</summary>") != 5:
        found.append("ending: five folded answers")
    return found


# Every notebook


def test_each_source_has_both_copies_and_each_copy_its_source():
    stems = {source.stem for source in SOURCES}
    assert stems and stems == {path.stem for path in STUDENT}
    assert stems == {path.stem for path in COPIES[len(STUDENT) :]}


@pytest.mark.parametrize("path", COPIES, ids=name_of)
def test_the_form_of_every_notebook(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    assert problems(notebook) == []
    assert path.stat().st_size < 400_000


def test_nbstripout_finds_nothing_to_clean(tmp_path):
    files = [tmp_path / f"{i}.ipynb" for i in range(len(COPIES))]
    for file, path in zip(files, COPIES, strict=True):
        file.write_bytes(path.read_bytes())
    subprocess.run([*STRIP, "--keep-output", "--keep-count", "--keep-id", *files], check=True)
    for file, path in zip(files, COPIES, strict=True):
        assert json.loads(file.read_bytes()) == json.loads(path.read_bytes()), path.name


def test_the_copies_are_up_to_date_with_their_sources(capsys):
    assert build.main(["--check"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("path", STUDENT, ids=name_of)
def test_exercises_are_open_for_students_and_solved_for_instructors(path):
    solved = nbformat.read(NOTEBOOKS / "solutions" / path.name, 4).cells
    stubs = [c for c in nbformat.read(path, 4).cells if "exercise" in c.metadata.get("tags", [])]
    solutions = [cell for cell in solved if "solution" in cell.metadata.get("tags", [])]
    assert len(stubs) == len(solutions) >= 2
    for stub, solution in zip(stubs, solutions, strict=True):
        assert "raise NotImplementedError" in stub.source
        assert re.fullmatch(r"exercise [\d.]+: not done yet\n", stub.outputs[0].text)
        assert re.match(r"exercise [\d.]+: right\n", solution.outputs[0].text)
    text = "\n".join(cell.source for cell in nbformat.read(path, 4).cells)
    for part in ("<summary>Hint</summary>", "<summary>Solution</summary>", "*Difficulty: "):
        assert text.count(part) == len(stubs)


# Negative controls: what the checks above and the strict run must refuse


@pytest.mark.parametrize("path", SOURCES, ids=name_of)
def test_the_stated_minutes_are_enough_to_read_to_predict_and_to_do_the_exercises(path):
    """At 130 words a minute, a minute and a half a *Predict*, and the times of the exercises."""
    source = path.read_text()
    text = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]*>", " ", source, flags=re.DOTALL)
    words = len(re.findall(r"[^\W_][\w'-]*", re.sub(r"\$[^$]*\$", " x ", text)))
    exercises = sum(map(int, re.findall(r"\*Difficulty: .*Time: (\d+) minutes\.\*", source)))
    needed = words / 130 + 1.5 * source.count("***Predict:***") + exercises
    stated = int(re.search(r"\*\*Time:\*\* (\d+) minutes", source)[1])
    assert exercises > 0 and needed <= stated


@pytest.mark.parametrize("path", COPIES, ids=name_of)
def test_what_answers_a_question_is_closed_until_it_is_clicked(path):
    """A panel and the verdict on an exercise stay open: they are what one works with."""
    asked, closed = False, 0
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type == "markdown":
            asked = "***Predict:***" in cell.source
            continue
        hidden = cell.metadata.get("jupyter", {}).get("outputs_hidden", False)
        works = re.search(r"panels\.|exercises\.", cell.source)
        assert hidden == (asked and not works), cell.source
        closed += hidden
    assert closed >= 5


def nbval(path):
    """Exit code and report of a strict run; 1 means that a cell failed."""
    command = [sys.executable, "-m", "pytest", "-o", "addopts=", "-p", "no:cacheprovider", "-q"]
    command += ["--nbval", "--nbval-current-env", path.name]
    run = subprocess.run(
        command, cwd=path.parent, env=ENVIRONMENT, capture_output=True, encoding="utf-8"
    )
    return run.returncode, run.stdout


def beginning():
    """The first notebook up to its first strict cell that prints a number."""
    notebook = nbformat.read(STUDENT[0], 4)
    for i, cell in enumerate(notebook.cells):
        printed = "".join(output.get("text", "") for output in cell.get("outputs", []))
        if re.search(r"\d\.\d", printed) and "nbval-ignore-output" not in str(cell.metadata):
            notebook.cells = notebook.cells[: i + 1]
            return notebook
    raise AssertionError("no strict cell prints a number")


@pytest.mark.slow
def test_the_strict_run_passes_as_stored_and_fails_on_an_altered_number(tmp_path):
    notebook, path = beginning(), tmp_path / "copy.ipynb"
    nbformat.write(notebook, path)
    assert nbval(path)[0] == 0
    output = notebook.cells[-1].outputs[0]
    output.text = re.sub(r"\d(?=\D*$)", lambda last: str((int(last[0]) + 1) % 10), output.text)
    nbformat.write(notebook, path)
    code, report = nbval(path)
    assert code == 1 and "mismatch" in report


# In one kernel, again


def checked(cells):
    """What the strict run compares of the text of each cell."""
    return [
        "".join(o.get("text", "") for o in cell.outputs)
        for cell in cells
        if cell.cell_type == "code" and "nbval-ignore-output" not in cell.metadata.get("tags", [])
    ]


@pytest.mark.slow
@pytest.mark.parametrize("path", TWICE, ids=name_of)
def test_all_cells_run_twice_in_one_kernel_and_say_the_same(path):
    notebook = nbformat.read(path, 4)
    stored = checked(notebook.cells)
    client = NotebookClient(
        notebook, kernel_name="python3", timeout=600, resources={"metadata": {"path": path.parent}}
    )
    with client.setup_kernel(env=ENVIRONMENT):
        for _ in range(2):
            for number, cell in enumerate(notebook.cells):
                client.execute_cell(cell, number)
            assert checked(notebook.cells) == stored


def test_a_stripped_notebook_is_refused_by_its_form_and_by_the_builder(tmp_path):
    path = tmp_path / "copy.ipynb"
    path.write_bytes(STUDENT[0].read_bytes())
    subprocess.run([*STRIP, path], check=True)
    assert any("execution counts" in words for words in problems(nbformat.read(path, 4)))
    assert not build.up_to_date(path, nbformat.read(STUDENT[0], 4).cells)


def first(notebook, kind):
    return next(cell for cell in notebook.cells if cell.cell_type == kind)


SPOILS = {
    "execution counts": lambda n: first(n, "code").update(execution_count=7),
    "61 cells": lambda n: n.cells.extend(
        v4.new_markdown_cell() for _ in range(61 + 2 * str(n).count("'check'") - len(n.cells))
    ),
    "three code cells": lambda n: n.cells.insert(2, v4.new_code_cell(execution_count=1)),
    "13 lines": lambda n: first(n, "code").update(source="\n".join("x" * 13)),
    "metadata": lambda n: n.metadata.update(widgets={}),
    "stderr": lambda n: first(n, "code").outputs.append(v4.new_output("stream", name="stderr")),
    "outputs": lambda n: first(n, "code").outputs.append(
        v4.new_output("display_data", data={"image/svg+xml": "<svg/>"})
    ),
    "traceback": lambda n: first(n, "code").outputs.append(v4.new_output("error")),
    "absolute path": lambda n: first(n, "code").update(source="open('/home/me/x')"),
    "address": lambda n: first(n, "markdown").update(source="<f at 0x7f00>"),
    "no seed": lambda n: first(n, "code").update(source="torch.randn(3)"),
    "question": lambda n: n.cells[0].update(source=n.cells[0].source.replace("?", ".")),
    "GPU": lambda n: n.cells[0].update(source=n.cells[0].source.replace("GPU", "it")),
    "Five questions": lambda n: n.cells.pop(-2),
    "Three things": lambda n: n.cells.pop(-1),
}  # fmt: skip


@pytest.mark.parametrize("words", SPOILS)
def test_a_spoiled_form_is_found(words):
    notebook = nbformat.read(STUDENT[0], 4)
    SPOILS[words](notebook)
    assert any(words in problem for problem in problems(notebook))


# The builder

SOURCE = """\
# What is two?

+++

Text with ```py``` in it.

```{code-cell} ipython3
print("seen")
```

More.

```{code-cell} ipython3
:tags: [exercise]

def two():
    raise NotImplementedError
```

<details><summary>Hint</summary>

Count.

</details>

```{code-cell} ipython3
:tags: [solution]

def two():
    return 2
```

End.

```{code-cell} ipython3
:tags: [live]

two
```
"""


def shape(cells):
    return [
        (cell.cell_type[0], cell.source.split("\n")[0], *cell.metadata.get("tags", []))
        for cell in cells
    ]


def test_one_source_gives_two_copies():
    student = build.cells(SOURCE, "notebooks/x.ipynb", solved=False)
    solved = build.cells(SOURCE, "notebooks/x.ipynb", solved=True)
    assert shape(student) == [
        ("m", "# What is two?"),
        ("m", "Text with ```py``` in it."),
        ("c", 'print("seen")'),
        ("m", "More."),
        ("c", "def two():", "exercise"),
        ("m", "<details><summary>Hint</summary>"),
        ("c", "two", "nbval-ignore-output"),
    ]
    assert shape(solved)[4] == ("c", "def two():", "solution")
    assert [*shape(solved)[:4], *shape(solved)[5:]] == [*shape(student)[:4], *shape(student)[5:]]
    assert "return 2" in student[5].source and student[5].source.endswith("End.")
    assert "return 2" in solved[4].source and "return 2" not in solved[5].source


def test_ids_follow_the_text_so_that_an_insertion_changes_no_other():
    before = [cell.id for cell in build.cells(SOURCE, "x", solved=False)]
    longer = SOURCE.replace("More.", "More.\n\n+++\n\nAdded.")
    after = [cell.id for cell in build.cells(longer, "x", solved=False)]
    assert len(set(after)) == len(after) == len(before) + 1
    assert [name for name in after if name in before] == before
    twice = build.cells("same\n\n+++\n\nsame", "x", solved=False)
    assert twice[0].id != twice[1].id


def cell(tag):
    return f"```{{code-cell}} ipython3\n:tags: [{tag}]\n\n1\n```\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (cell("lively"), r"unknown tags .*'lively'.* use a list of .*'live'"),
        (cell("live").replace("tags", "tag"), "unknown tags .*'tag'"),
        ('+++ {"tags": ["hide"]}\n\nText.\n', "unknown tags .*'hide'"),
        ("```{code-cel} ipython3\n1\n```\n", "line 1: code cells start with .* got .*code-cel}"),
        ("Text.\n\n```{code-cell} ipython3\n1\n", "line 3: the fence .* is left open"),
        (cell("live").removesuffix("```\n") + cell("live"), "line 1: the fence .* is left open"),
        (cell("exercise"), "one solution"),
        (cell("solution") + "\n" + cell("exercise"), "one solution"),
    ],
)
def test_a_source_with_a_mistake_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        build.cells(text, "x", solved=False)


@pytest.mark.parametrize("source", SOURCES, ids=name_of)
def test_jupytext_opens_a_source_as_a_notebook_and_saves_it_unchanged(source, tmp_path):
    """As JupyterLab does, through the manager of contents, and `jupytext --to ipynb`."""
    manager = jupytext.TextFileContentsManager(root_dir=str(tmp_path))
    file = tmp_path / source.name
    file.write_bytes(source.read_bytes())
    opened = manager.get(source.name, type="notebook", content=True)["content"]
    command = [sys.executable, "-m", "jupytext", "--quiet", "--to", "ipynb", source.name]
    subprocess.run(command, cwd=tmp_path, check=True)
    converted = nbformat.read(file.with_suffix(".ipynb"), 4)
    kinds = [(cell.cell_type, cell.source) for cell in build.read(source.read_text())]
    for notebook in (opened, converted):
        assert [(cell.cell_type, cell.source) for cell in notebook.cells] == kinds
        assert notebook.metadata.kernelspec == build.KERNEL
    tags = {tag for cell in opened.cells for tag in cell.metadata.get("tags", [])}
    assert {"exercise", "solution"} <= tags <= set(build.TAGS)
    file.with_suffix(".ipynb").unlink()
    opened.metadata.language_info = {"name": "python", "pygments_lexer": "ipython3"}  # the kernel's
    manager.save({"type": "notebook", "content": opened}, source.name)
    assert file.read_text() == source.read_text()


def test_a_public_address_puts_badges_first_and_an_install_cell_for_colab():
    cells = build.cells(SOURCE, "notebooks/x.ipynb", solved=False, public="some/one")
    assert "mybinder.org/v2/gh/some/one/HEAD?labpath=notebooks/x.ipynb" in cells[0].source
    assert (
        "colab.research.google.com/github/some/one/blob/main/notebooks/x.ipynb" in cells[0].source
    )
    assert "# What is two?" in cells[0].source
    assert cells[1].cell_type == "code" and "github.com/some/one" in cells[1].source
    assert len(cells[1].source.splitlines()) <= 12


@pytest.mark.slow
def test_building_checking_and_the_public_address_from_end_to_end(tmp_path, capsys):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "01_two.md").write_text(SOURCE)
    copy = tmp_path / "01_two.ipynb"
    assert build.main(["--check"], tmp_path) == 1
    assert build.main(["01"], tmp_path) == 0 == build.main(["--check"], tmp_path)
    built = copy.read_bytes()
    assert build.main([], tmp_path) == 0 and copy.read_bytes() == built  # no needless diff
    assert build.main(["--public-url", "https://github.com/some/one"], tmp_path) == 0
    assert build.main(["--check"], tmp_path) == 0
    colab = nbformat.read(copy, 4).cells[1]
    assert colab.outputs == [] and colab.execution_count == 1  # silent outside Colab
    assert build.main(["--public-url", ""], tmp_path) == 0 and copy.read_bytes() == built
    (tmp_path / "source" / "01_two.md").write_text(SOURCE.replace("More.", "Less."))
    capsys.readouterr()
    assert build.main(["--check"], tmp_path) == 1
    assert "01_two.ipynb is not what its source makes" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["99"], ["--public-url", "http://example.org"], ["04", "--public-url", ""]],
)
def test_bad_arguments_of_the_builder_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        build.main(arguments)
    assert stop.value.code == 2
