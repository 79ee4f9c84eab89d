"""`import rdlite` over `import torch`, each in a new process, files in the system's cache."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

from timing import chosen, in_turns, medians, over

MODULES = ("torch", "rdlite", "rdlite.training", "rdlite.panels")


def measure(quick: bool = False) -> dict:
    """Ratios to torch; those of the modules that train and draw are shown without a target."""

    def job(module: str) -> float:
        started = clock()
        subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
        return clock() - started

    clock = time.perf_counter if chosen["clock"] == "wall" else _of_children
    jobs = {module: lambda module=module: job(module) for module in MODULES}
    taken = in_turns(jobs, 1 if quick else 5)
    return {
        "values": {"rdlite": over(taken, "rdlite", "torch")},
        "others": {module: over(taken, module, "torch") for module in MODULES[2:]},
        "seconds": medians(taken),
    }


def _of_children() -> float:
    """CPU seconds of the processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
