"""Print the requirements of pyproject.toml at the lowest version that each allows.

python tests/lowest.py > pins.txt
"""

import tomllib
from pathlib import Path

GROUPS = ("lab", "test")


def pins(project: dict) -> list[str]:
    """Every ``name>=1.2`` of the project and of `GROUPS` as ``name==1.2``."""
    wanted = [*project["dependencies"]]
    for group in GROUPS:
        wanted += project["optional-dependencies"][group]
    return [text.replace(">=", "==") for text in dict.fromkeys(wanted)]


if __name__ == "__main__":
    file = Path(__file__).parents[1] / "pyproject.toml"
    print("\n".join(pins(tomllib.loads(file.read_text())["project"])))
