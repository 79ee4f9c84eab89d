"""How `fit` grows: time and peak memory against images, classes and rounds, with a figure.

Each point is a process of its own, because the peak of a process never falls. Memory is what the
peak rose over the imports; it holds the images themselves. The exponent is the slope of the
logarithms between the two largest points: 1 is linear.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

START = {"images": 8000, "classes": 10, "rounds": 4}
RANGES = {
    "images": (4000, 16000, 64000, 256000),
    "classes": (10, 30, 100, 300, 1000),
    "rounds": (1, 4, 16, 64, 250),
}


def point(images: int, classes: int, rounds: int) -> dict[str, float]:
    """Seconds and MiB of one training, an epoch of a cnn-6 on drawn images of 14 pixels."""
    import torch
    from timing import now

    from rdlite import models
    from rdlite.data import Split
    from rdlite.objectives import ROBUST
    from rdlite.training import TrainConfig, fit

    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)

    def drawn(n: int) -> Split:
        pixels = torch.randint(256, (n, 1, 14, 14), generator=generator, dtype=torch.uint8)
        return Split(pixels, torch.arange(n) % classes, tuple(map(str, range(classes))))

    net = models.create("cnn-6", num_classes=classes, in_channels=1)
    net = net.to(memory_format=torch.channels_last)
    config = TrainConfig(epochs=1, batch_size=32, learning_rate=0.01, rounds=rounds)
    small = drawn(classes * 2)
    fit(net, small, ROBUST, heldout=small, config=TrainConfig(epochs=1))  # warms up
    before = memory("VmRSS")
    train, heldout = drawn(images), drawn(max(1000, images // 5))
    started = now()
    fit(net, train, ROBUST, heldout=heldout, config=config)
    seconds = now() - started
    return {"seconds": seconds, "MiB": memory("VmHWM") - before}


def memory(name: str) -> float:
    """MiB of this process, now (VmRSS) or at most (VmHWM). Linux only.

    The peak that `resource` gives is no use here: it is at least that of the parent.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def exponent(points: dict[int, dict[str, float]], name: str) -> float:
    """Slope of log value against log size between the two largest sizes."""
    (a, first), (b, last) = sorted(points.items())[-2:]
    low, high = max(first[name], 1e-3), max(last[name], 1e-3)
    return math.log(high / low) / math.log(b / a)


def measure(quick: bool = False) -> dict:
    """The exponents, the points behind them, and the figure's file."""
    from timing import chosen

    found: dict[str, dict[int, dict[str, float]]] = {}
    for name, sizes in RANGES.items():
        found[name] = {}
        for size in sizes[:2] if quick else sizes:
            state = START | {name: size} | ({"images": 2000} if quick and name != "images" else {})
            words = [json.dumps(state), chosen["clock"]]
            shown = subprocess.run(
                [sys.executable, __file__, *words], capture_output=True, text=True, check=True
            )
            found[name][size] = json.loads(shown.stdout)
    values = {
        f"{what} by {name}": exponent(points, what)
        for name, points in found.items()
        for what in ("seconds", "MiB")
    }
    return {"values": values, "points": found}


def draw(result: dict, file: Path) -> None:
    """Points on logarithmic axes beside a line of exponent 1."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 5.6), layout="constrained")
    axes = figure.subplots(2, 3)
    for column, (name, points) in enumerate(result["points"].items()):
        sizes = sorted(points)
        for ax, what in zip(axes[:, column], ("seconds", "MiB"), strict=True):
            values = [max(points[size][what], 1e-3) for size in sizes]
            ax.loglog(sizes, values, "o-", color="#0072B2", label="measured")
            line = [values[-1] * size / sizes[-1] for size in sizes]
            ax.loglog(sizes, line, ":", color="#555555", label="linear")
            ax.set_title(f"exponent {result['values'][f'{what} by {name}']:.2f}", fontsize=10)
            ax.set(xlabel=name, ylabel=f"peak {what}" if what == "MiB" else what)
            ax.legend(fontsize=8, frameon=False)
    figure.suptitle("Time and peak memory of a training; below 1 is better than linear")
    figure.savefig(file, dpi=120)


if __name__ == "__main__":
    from timing import chosen

    chosen["clock"] = sys.argv[2]
    print(json.dumps(point(**json.loads(sys.argv[1]))))
