"""What the benchmarks share: turns, medians, images and a description of the machine."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

import rdlite
from rdlite import data, models
from rdlite.training.sgd import Sgd

Seconds = dict[str, list[float]]  # by job, one a turn
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
chosen = {"clock": "wall"}


def now() -> float:
    """Seconds by the chosen clock: of the wall, or of this process's work (on one thread)."""
    return CLOCKS[chosen["clock"]]()


def in_turns(jobs: dict[str, Callable[[], float | None]], turns: int) -> Seconds:
    """A B A B ...: each job once a turn, after a first turn that does not count.

    A job returns its seconds, or None to have the whole call timed.
    """
    taken: Seconds = {name: [] for name in jobs}
    for turn in range(turns + 1):
        for name, job in jobs.items():
            started = now()
            seconds = job()
            if turn > 0:
                seconds = now() - started if seconds is None else seconds
                taken[name].append(seconds)
    return taken


def over(taken: Seconds, a: str, b: str) -> float:
    """The median over the turns of a's seconds over b's in the same turn."""
    return statistics.median(x / y for x, y in zip(taken[a], taken[b], strict=True))


def medians(taken: Seconds) -> dict[str, float]:
    """Median seconds by job."""
    return {name: statistics.median(values) for name, values in taken.items()}


@contextmanager
def stretches_of_sgd() -> Iterator[list[tuple[float, float]]]:
    """When each `Sgd.run_until` of the block started and ended; there is one a round."""
    stretches, run_until = [], Sgd.run_until

    def timed(*args: object) -> float:
        started = now()
        mean_loss = run_until(*args)
        stretches.append((started, now()))
        return mean_loss

    Sgd.run_until = timed
    try:
        yield stretches
    finally:
        Sgd.run_until = run_until


def machine() -> dict:
    """Processor, versions and threads."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "clock": chosen["clock"],
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "rdlite": rdlite.__version__,
        "load": round(_load(), 2),  # 1.0 for each program that runs beside this one
    }


def processor() -> str:
    """The model's name, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _load() -> float:
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0


def photographs(size: int, images: int) -> tuple[data.Split, data.Split]:
    """Fashion-MNIST with the same number of images a class, and a fifth as many held out.

    At 32 pixels the images of 28 have a black border and three equal channels, as CIFAR's shape.
    """
    of_class = {"head": images // 10, "heldout": images // 50}
    splits = data.load(imbalance=1, size=14 if size == 14 else None, **of_class)
    if size < 32:
        return splits.train, splits.heldout
    return tuple(_bordered(split) for split in (splits.train, splits.heldout))


def _bordered(split: data.Split) -> data.Split:
    images = F.pad(split.images, (2, 2, 2, 2)).repeat(1, 3, 1, 1)
    return data.Split(images, split.labels, split.class_names)


def network(name: str, train: data.Split, seed: int = 0) -> nn.Module:
    """As `rdlite.studies.run.Run.create` makes it."""
    channels = train.images.shape[1]
    net = models.create(name, num_classes=train.num_classes, in_channels=channels, seed=seed)
    return net.to(memory_format=torch.channels_last)
