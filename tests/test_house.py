"""The house: few entries, short files, imports only downward, and what is light stays light."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "rdlite"
STOREYS = [  # from the ground up: each imports only from those before it, and from itself
    "guards",
    "objectives",
    "multipliers",
    "metrics",
    "data",
    "models",
    "training",
    "distillation",
    "baselines",
    "plots",
    "theory",
    "studies",
    "exercises",
    "panels",
    "__main__",
]
READ_FIRST = [
    *("objectives.py", "multipliers.py", "distillation.py", "metrics.py"),
    *(f"training/{name}.py" for name in ("loop", "sgd", "targets", "config", "history")),
]
SOURCES = {
    ".".join(file.relative_to(LIBRARY).with_suffix("").parts): file.read_text(encoding="utf-8")
    for file in sorted(LIBRARY.glob("**/*.py"))
}


def imports(sources):
    """Module -> the modules of rdlite that it imports anywhere, in functions, too."""
    found = {}
    for module, text in sources.items():
        found[module] = set()
        for node in ast.walk(ast.parse(text)):
            names = []
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rdlite":
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                parts = name.split(".")
                while len(parts) > 1 and parts[0] == "rdlite":
                    inside = ".".join(parts[1:])
                    door = f"{inside}.__init__"
                    if inside in sources or door in sources:
                        found[module].add(inside if inside in sources else door)
                        break
                    parts.pop()
    return found


def upward(sources):
    """The imports that lead to a higher storey, as words."""
    height = {storey: number for number, storey in enumerate(STOREYS)}
    return [
        f"{module} imports {other}"
        for module, others in imports(sources).items()
        for other in sorted(others)
        if height[other.split(".")[0]] > height.get(module.split(".")[0], -1)
    ]


def test_the_listing_shows_the_paper():
    entries = sorted(p.name for p in LIBRARY.iterdir() if p.name != "__pycache__")
    assert len(entries) <= 18, entries
    assert {module.split(".")[0] for module in SOURCES} - {"__init__"} == set(STOREYS)


def test_no_file_is_long_and_what_is_read_first_is_short():
    lines = {module: len(text.splitlines()) for module, text in SOURCES.items()}
    assert {module: n for module, n in lines.items() if n > 250} == {}
    first = [name.removesuffix(".py").replace("/", ".") for name in READ_FIRST]
    assert sum(lines[module] for module in first) <= 1110


def test_imports_lead_downward():
    assert upward(SOURCES) == []


def test_imports_make_no_circle():
    list(TopologicalSorter(imports(SOURCES)).static_order())


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("metrics", "from rdlite.training import fit"),
        ("plots", "from rdlite.studies.results import CELL"),
        ("plots", "from rdlite import studies"),
        ("theory.game", "import rdlite.panels.base"),
        ("data.splits", "def late():\n    from rdlite.studies import grid"),
        ("training.loop", "from rdlite import distillation"),
    ],
)
def test_an_import_upward_is_found(module, line):
    planted = SOURCES | {module: f"{SOURCES[module]}\n{line}\n"}
    assert any(words.startswith(f"{module} imports") for words in upward(planted))


def test_a_circle_is_found():
    planted = SOURCES | {"data.splits": f"{SOURCES['data.splits']}\nfrom rdlite.data import batches"}
    planted["data.batches"] += "\nfrom rdlite.data.splits import Split"
    with pytest.raises(CycleError):
        list(TopologicalSorter(imports(planted)).static_order())


def test_doors_open_rooms_and_nothing_else():
    for module, text in SOURCES.items():
        if module.endswith("__init__") and module != "__init__":
            for node in ast.parse(text).body:
                is_names = isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
                is_words = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                assert is_names or is_words or isinstance(node, ast.ImportFrom), (
                    f"{module} has more than imports and names: {ast.unparse(node)[:60]}"
                )


def test_metrics_theory_and_plots_bring_no_trainer():
    code = (
        "import sys\n"
        "heavy = ('joblib', 'rdlite.training', 'rdlite.studies', 'rdlite.models')\n"
        "for name in ('metrics', 'theory', 'plots'):\n"
        "    __import__(f'rdlite.{name}')\n"
        "    print(name, [module for module in heavy if module in sys.modules])\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split("\n")[:3] == ["metrics []", "theory []", "plots []"]
