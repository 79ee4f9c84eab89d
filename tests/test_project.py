"""The files around the library agree with each other."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROMISES = ROOT / "tests" / "README.md"
CONDA_NAMES = {"torch": "pytorch"}  # PyPI name -> conda-forge name


def requirement(text):
    """'name>=1.2' -> (name, '1.2')."""
    name, bound = re.fullmatch(r"([\w-]+)>=([\d.]+)", text).groups()
    return CONDA_NAMES.get(name, name), bound


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_environment_yml_and_pyproject_are_in_step(project):
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *packages, pip, from_pip = environment["dependencies"]
    assert environment["channels"] == ["conda-forge"]
    assert pip == "pip" and from_pip == {"pip": ["-e ."]}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["lab"]]
    wanted = {requirement(text) for text in [*wanted, "python" + project["requires-python"]]}
    assert {requirement(text) for text in packages} == wanted


def test_every_package_of_environment_yml_has_its_comment():
    lines = (ROOT / "environment.yml").read_text().splitlines()
    packages = [line for line in lines if line.lstrip().startswith("- ")]
    assert packages and all("  # " in line or line.endswith("pip:") for line in packages)


def test_dependencies_are_lower_bounds(project):
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    assert all(requirement(text) for group in groups for text in group)


def test_the_lowest_pins_are_the_lower_bounds(project):
    """What `make test-lowest` installs; there is no second list."""
    shown = subprocess.run(
        [sys.executable, ROOT / "tests" / "lowest.py"], capture_output=True, text=True, check=True
    )
    pins = shown.stdout.split()
    groups = [project["optional-dependencies"][name] for name in ("lab", "test")]
    bounds = {text for group in [project["dependencies"], *groups] for text in group}
    assert len(pins) == len(bounds) and {pin.replace("==", ">=") for pin in pins} == bounds


def test_the_package_needs_python_3_11(project):
    """The first with tomllib, which reads the specs of studies."""
    assert project["requires-python"] == ">=3.11"


def test_top_level_folders_are_exactly_four():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    folders = {path.split("/")[0] for path in tracked if "/" in path}
    assert {f for f in folders if not f.startswith(".")} <= {"notebooks", "rdlite", "data", "tests"}
    assert not any("ubyte" in path and not path.endswith(".gz") for path in tracked)


def test_importing_rdlite_is_light():
    """Heavy libraries are imported where they are used."""
    code = "import sys, rdlite; print({'torch', 'torchvision', 'matplotlib'} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_importing_the_training_brings_no_table_or_figure():
    heavy = "{'pandas', 'matplotlib', 'torchvision', 'joblib'}"
    code = f"import sys, rdlite.training; print({heavy} & set(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "set()"


def test_the_readme_commands_exist():
    readme = (ROOT / "README.md").read_text()
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    used = set(re.findall(r"(?:^    |`)make ([a-z-]+)", readme, re.MULTILINE))
    assert {"demo", "test", "lab"} <= used <= targets


def test_the_links_of_the_readme_lead_somewhere():
    readme = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\((?!http|#)([^)#]+)", readme)
    assert links and all((ROOT / link).exists() for link in links)


def test_the_tests_that_promises_name_exist():
    """tests/README.md: file by file, and `::test_...` alone is of the file named before it."""
    named = re.findall(r"`(?:(test_\w+\.py))?(?:::(test_\w+))?`", PROMISES.read_text())
    file = None
    for path, function in named:
        file = path or file
        if path or function:
            source = (ROOT / "tests" / file).read_text()
            assert not function or f"def {function}(" in source, f"{file}::{function}"
    assert sum(bool(function) for _, function in named) > 50
