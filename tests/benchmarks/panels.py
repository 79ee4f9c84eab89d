"""From a control to the picture: how long the panels take, in milliseconds.

    OMP_NUM_THREADS=1 .venv/bin/python tests/benchmarks/panels.py

Each measured step sets ``panel.state`` to a state not seen before and ends when numbers and PNG are
there. "Prepared" steps move what answers from results at hand (alpha, strength, a class weight);
"new" steps move what has to be trained or solved first. Wall time, and CPU time of the process,
which other programs disturb less. About half a minute on one core.
"""

import random
import time

import torch

from rdlite.panels import ClassWeightPanel, PlanePanel, TeacherPanel, TradeoffPanel
from rdlite.panels.base import Panel

ROUNDS, MOVES = 10, 5  # new steps, and the prepared steps after each of them


def photographs() -> ClassWeightPanel:
    """Ten classes and 10,000 images, as the FashionMNIST test set; the logits are drawn."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat(1000)
    logits = 2 * torch.randn(10_000, 10, generator=generator) + 3 * torch.eye(10)[labels]
    names = [f"class {k}" for k in range(10)]
    return ClassWeightPanel(logits, labels, names, [1000 // 2**k for k in range(10)])


PANELS = {  # name -> its maker and its costly controls, whose change is a "new" step
    "PlanePanel": (PlanePanel, ("imbalance", "teacher", "strength")),
    "TeacherPanel": (TeacherPanel, ("population", "teacher")),
    "ClassWeightPanel": (photographs, ()),
    "ClassWeightPanel.on_plane": (ClassWeightPanel.on_plane, ()),
    "TradeoffPanel": (TradeoffPanel, ()),
}


def draw(panel: Panel, names: tuple[str, ...], rng: random.Random) -> dict:
    """Random values of some controls. The teacher "none" is left out: it ignores the strength."""
    return {
        name: rng.choice([value for _, value in panel.controls[name].options if value != "none"])
        for name in names
    }


def step(panel: Panel, change: dict) -> tuple[float, float]:
    """Wall and CPU milliseconds of one change."""
    wall, cpu = time.perf_counter(), time.process_time()
    panel.state = change
    took = 1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu)
    if not panel.picture.value:
        raise RuntimeError(f"{panel!r} shows an error: {panel.numbers.value}")
    return took


def steps(panel: Panel, costly: tuple[str, ...]) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of the prepared and of the new steps of one panel, after a warm-up."""
    rng, seen = random.Random(0), {str(panel.default)}
    cheap = tuple(name for name in panel.controls if name not in costly)
    taken = {"prepared": [], "new": []}
    for k in range(ROUNDS + 1):
        for kind, names in [("new", costly), *[("prepared", cheap)] * MOVES]:
            for _ in range(100):  # a state, or a costly part of it, that is new
                change = draw(panel, names, rng)
                key = str(change if kind == "new" else {**panel.state, **change})
                if names and key not in seen:
                    seen.add(key)
                    took = step(panel, change)
                    if k > 0:  # the first round is the warm-up
                        taken[kind].append(took)
                    break
        seen.add(str(panel.state))
    return taken


def measure() -> dict[str, dict[str, float]]:
    """Panel and kind of step -> number of steps, median and 95th percentile in milliseconds."""
    torch.set_num_threads(1)
    rows = {}
    for name, (make, costly) in PANELS.items():
        for kind, taken in steps(make(), costly).items():
            if taken:
                row = {"steps": len(taken)}
                for clock, values in zip(("wall", "CPU"), torch.tensor(taken).T, strict=True):
                    row[f"{clock} median"] = float(values.median())
                    row[f"{clock} 95 %"] = float(values.quantile(0.95))
                rows[f"{name}, {kind}"] = row
    return rows


if __name__ == "__main__":
    rows = measure()
    print(f"{'milliseconds':<36}" + "".join(f"{word:>13}" for word in next(iter(rows.values()))))
    for name, row in rows.items():
        print(f"{name:<36}" + "".join(f"{value:13.0f}" for value in row.values()))
