"""Known weaknesses of the installed packages, by pip-audit: `make audit`.

Exits 1 if one is known, 0 if none is or the service cannot be asked; it then says so. It is no
part of `make test`: an advisory that appears overnight is no fault of a change.
"""

from __future__ import annotations

import json
import subprocess
import sys

COMMAND = [
    *(sys.executable, "-m", "pip_audit", "--skip-editable", "--format", "json"),
    *("--progress-spinner", "off"),
]


def verdict(output: str, errors: str) -> tuple[int, list[str]]:
    """The exit code and the lines to print, from what pip-audit wrote."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (errors.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return 0, [f"audit: not done, the advisories cannot be read from here ({reason})"]
    known = [
        f"{one['name']} {one['version']}: {found['id']}, mended in "
        f"{', '.join(found['fix_versions']) or 'no version yet'}"
        for one in packages
        for found in one.get("vulns", [])
    ]
    skipped = [f"{one['name']} was skipped: {one['skip_reason']}" for one in packages
               if "skip_reason" in one]  # fmt: skip
    asked = len(packages) - len(skipped)
    total = f"audit: {len(known)} known weaknesses in {asked} packages"
    return int(bool(known)), [*skipped, *known, total]


def main() -> int:
    """Ask, print, and say by the exit code."""
    found = subprocess.run(COMMAND, capture_output=True, text=True)
    code, lines = verdict(found.stdout, found.stderr)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
