"""From a control to the picture: how long the panels take, in milliseconds.

    make bench ARGS="--only panel_ms"

Each measured step moves one control to a state not seen before and ends when numbers and PNG are
there; every control of a panel is moved equally often.
"""

from __future__ import annotations

import random
import statistics
import time

import torch
from timing import chosen

from rdlite.panels import ClassWeightPanel, PlanePanel, TeacherPanel, TradeoffPanel
from rdlite.panels.base import Panel

ROUNDS = 6  # of one move a control, after a round that warms up
CONTROLS = 4  # of a panel with more of them, drawn anew each round


def photographs() -> ClassWeightPanel:
    """Ten classes and 10,000 images, as the FashionMNIST test set; the logits are drawn."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(10).repeat(1000)
    logits = 2 * torch.randn(10_000, 10, generator=generator) + 3 * torch.eye(10)[labels]
    names = [f"class {k}" for k in range(10)]
    return ClassWeightPanel(logits, labels, names, [1000 // 2**k for k in range(10)])


PANELS = {
    "PlanePanel": PlanePanel,
    "TeacherPanel": TeacherPanel,
    "ClassWeightPanel": photographs,
    "ClassWeightPanel.on_plane": ClassWeightPanel.on_plane,
    "TradeoffPanel": TradeoffPanel,
}


def step(panel: Panel, change: dict) -> dict[str, float]:
    """Milliseconds of one change, by clock."""
    wall, cpu = time.perf_counter(), time.process_time()
    panel.state = change
    took = {
        "wall": 1000 * (time.perf_counter() - wall),
        "cpu": 1000 * (time.process_time() - cpu),
    }
    if not panel.picture.value:
        raise RuntimeError(f"{panel!r} shows an error: {panel.numbers.value}")
    return took


def steps(panel: Panel, rounds: int) -> dict[str, list[dict[str, float]]]:
    """Control -> what its moves took; a state is shown once only."""
    rng, seen = random.Random(0), {str(panel.state)}
    taken: dict[str, list[dict[str, float]]] = {}
    for k in range(rounds + 1):
        names = rng.sample(list(panel.controls), min(CONTROLS, len(panel.controls)))
        for name in names:
            values = [value for _, value in panel.controls[name].options]
            changes = [{name: value} for value in rng.sample(values, len(values))]
            fresh = [c for c in changes if str({**panel.state, **c}) not in seen]
            if name == "strength" and panel.state["teacher"] == "none":
                continue  # it is not in use
            if fresh:
                took = step(panel, fresh[0])
                seen.add(str(panel.state))
                if k > 0:
                    taken.setdefault(name, []).append(took)
    return taken


def measure(quick: bool = False) -> dict:
    """The median by panel; its 95th percentile, and the median of each control's moves."""
    values, others, by_control = {}, {}, {}
    for name, make in PANELS.items():
        taken = steps(make(), 1 if quick else ROUNDS)
        times = {control: [t[chosen["clock"]] for t in steps] for control, steps in taken.items()}
        every = [t for own in times.values() for t in own]
        values[name] = statistics.median(every)
        others[f"{name}, 95th percentile"] = float(torch.tensor(every).quantile(0.95))
        if len(times) <= CONTROLS and not name.startswith("ClassWeight"):
            by_control[name] = {control: statistics.median(own) for control, own in times.items()}
    return {"values": values, "others": others, "by control": by_control}
