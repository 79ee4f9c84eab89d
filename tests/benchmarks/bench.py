"""All measurements of speed, as a table and as out/bench.json. See README.md beside this file.

make bench
make bench ARGS="--only fit_over_bare --strict"
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import torch
from timing import CLOCKS, chosen, machine

AT_MOST, AT_LEAST = "at most", "at least"
TARGETS: dict[str, tuple[str, float | Mapping[str, float]]] = {  # key -> the module of its name
    "fit_over_bare": (AT_MOST, 1.05),
    "kd_vs_torchdistill": (AT_LEAST, {"plain": 2.3, "views8": 2.0, "consistent": 1.2}),
    "frontier_batched": (AT_LEAST, 6),
    "grid_parallel": (AT_LEAST, 1.6),
    "heldout_share": (AT_MOST, 0.08),
    "panel_ms": (AT_MOST, 100),
    "import_s": (AT_MOST, 1.15),
    "growth": (AT_MOST, 1.05),  # linear, with some room for the clock
}
MODULES = {"panel_ms": "panels"}


def reached(value: float, side: str, target: float) -> bool:
    """Whether the value is on the right side."""
    return value <= target if side == AT_MOST else value >= target


def run(key: str, quick: bool, out: Path) -> dict | None:
    """Measure one key; None if what it compares with is not installed."""
    module = importlib.import_module(MODULES.get(key, key))
    result = module.measure(quick)
    if result is None:
        return None
    side, targets = TARGETS[key]
    result["targets"] = {
        name: targets[name] if isinstance(targets, Mapping) else targets
        for name in result["values"]
    }
    result["reached"] = {
        name: reached(value, side, result["targets"][name])
        for name, value in result["values"].items()
    }
    if hasattr(module, "draw"):
        module.draw(result, out / f"{key}.png")
    return result | {"machine": machine()}


def main(words: list[str] | None = None) -> int:
    """Exit status: 1 if --strict is given and a target is missed."""
    parser = argparse.ArgumentParser(description="measure how fast rdlite is")
    parser.add_argument("--only", choices=TARGETS, action="append", metavar="KEY")
    parser.add_argument("--strict", action="store_true", help="fail where a target is missed")
    parser.add_argument("--quick", action="store_true", help="tiny work: that it runs, no more")
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder of bench.json")
    parser.add_argument("--threads", type=int, help="instead of one a core")
    parser.add_argument(
        "--clock",
        choices=CLOCKS,
        default="wall",
        help="cpu, with --threads 1, where other programs run; grid_parallel stays wall",
    )
    options = parser.parse_args(words)
    options.out.mkdir(parents=True, exist_ok=True)
    chosen["clock"] = options.clock
    if options.threads:
        torch.set_num_threads(options.threads)
    threads, results = torch.get_num_threads(), {}
    print(f"{'key':<20}{'':<42}{'value':>8}  {'target':<15}reached", flush=True)
    for key in options.only or TARGETS:
        torch.set_num_threads(threads)
        result = run(key, options.quick, options.out)
        if result is None:
            print(f"{key:<20}left out: torchdistill is not installed (pip install '.[benchmark]')")
            continue
        results[key] = result
        for name, value in result["values"].items():
            target = f"{TARGETS[key][0]} {result['targets'][name]:g}"
            word = "yes" if result["reached"][name] else "NO"
            print(f"{key:<20}{name:<42}{value:8.3f}  {target:<15}{word}", flush=True)
        for name, value in result.get("others", {}).items():
            print(f"{'':<20}{name:<42}{value:8.3f}", flush=True)
        (options.out / "bench.json").write_text(json.dumps(results, indent=1))
    print("Written:", options.out / "bench.json")
    missed = [key for key, result in results.items() if not all(result["reached"].values())]
    if options.strict and missed:
        print("Missed:", ", ".join(missed), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
