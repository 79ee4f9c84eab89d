"""About how long a training takes here, from a few timed SGD steps of its networks."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import torch

from rdlite import models
from rdlite.data import batches
from rdlite.guards import checks
from rdlite.studies.run import Run

STEPS = 5  # timed, after one that is not
FORWARD = 1 / 3  # of a step; the gradient costs about two forward passes


def seconds(run: Run, device: str = "cpu") -> float:
    """About how long ``run`` trains and is measured, without its teacher, by one process.

    Args:
        run: its images are loaded, those of seed 0.
        device: ``"cpu"``, ``"cuda"``, ...
    """
    splits, config = replace(run, seed=0).splits(device), run.config  # as many for every seed
    shape = (min(config.batch_size, len(splits.train)), *splits.train.images.shape[1:])
    one = step_seconds(run.network, shape, splits.num_classes, device)
    forward = FORWARD * one / shape[0]  # an image
    steps = config.epochs * batches.steps_per_epoch(len(splits.train), config.batch_size)
    total = steps * one + (config.rounds or config.epochs) * len(splits.heldout) * forward
    if run.teacher is not None:
        each_view = run.teacher_view == "consistent" and (config.shift or config.flip)
        views = steps * shape[0] if each_view else len(splits.train)
        teacher = step_seconds(run.teacher.network, shape, splits.num_classes, device)
        total += views * FORWARD * teacher / shape[0]
    measured = len(splits.train) + len(splits.heldout) + len(splits.test)
    return total + measured * forward


def of_study(runs: Iterable[Run], processes: int, device: str = "cpu") -> float:
    """About how long these runs take together in so many processes, seconds."""
    checks.integer("processes", processes, low=1)
    return sum(seconds(run, device) for run in runs) / processes


def words(duration: float) -> str:
    """Seconds as a person says them.

    >>> words(40), words(400), words(40_000), words(400_000)
    ('40 s', '7 min', '11.1 h', '4.6 days')
    """
    for size, name, digits in ((86_400, "days", 1), (3600, "h", 1), (60, "min", 0)):
        if duration >= 1.5 * size:
            return f"{duration / size:.{digits}f} {name}"
    return f"{duration:.0f} s"


@lru_cache(maxsize=64)
def step_seconds(
    network: str, shape: tuple[int, ...], num_classes: int, device: str = "cpu"
) -> float:
    """Median seconds of one SGD step on a batch of noise.

    Args:
        network: see `rdlite.models.create`.
        shape: (B, c, h, w).
        num_classes: m.
        device: ``"cpu"``, ``"cuda"``, ...
    """
    net = models.create(network, num_classes=num_classes, in_channels=shape[1])
    net = net.to(device, memory_format=torch.channels_last)
    images = torch.randint(256, shape, dtype=torch.uint8, device=device)
    labels = torch.zeros(shape[0], dtype=torch.int64, device=device)
    optimiser = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9)
    times = []
    for _ in range(1 + STEPS):
        started = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(net(batches.as_input(images)), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()  # on a GPU: wait
        times.append(time.perf_counter() - started)
    return statistics.median(times[1:])
