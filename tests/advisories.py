"""Known weaknesses of the installed packages, by pip-audit: `make advisories`.

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
    """The exit code and the lines to print, from what pip-audit wrote.

    It also says that nothing is known where it could ask about no package at all; that is told
    apart here.
    """
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        reason = (errors.strip().splitlines() or ["pip-audit said nothing"])[-1]
        return 0, [f"advisories: not done, the advisories cannot be read from here ({reason})"]
    known = [
        f"{one['name']} {one['version']}: {found['id']}, mended in "
        f"{', '.join(found['fix_versions']) or 'no version yet'}"
        for one in packages
        for found in one.get("vulns", [])
    ]
    skipped = [one for one in packages if "skip_reason" in one]
    asked = len(packages) - len(skipped)
    if not asked:
        reason = skipped[0]["skip_reason"] if skipped else "there are none"
        return 0, [f"advisories: not done, nothing could be asked about any package ({reason})"]
    lines = [f"not asked about {one['name']}: {one['skip_reason']}" for one in skipped]
    total = f"advisories: {len(known)} known weaknesses in {asked} packages"
    return int(bool(known)), [*lines, *known, f"{total}, {len(skipped)} not asked about"]


def main() -> int:
    """Ask, print, and say by the exit code."""
    found = subprocess.run(COMMAND, capture_output=True, text=True)
    code, lines = verdict(found.stdout, found.stderr)
    print("\n".join(lines))
    return code


if __name__ == "__main__":
    sys.exit(main())
