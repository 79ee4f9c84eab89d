"""One epoch of `fit` over one of a loop written by hand that does the same, bit for bit.

The robust objective, so every epoch has a held-out pass, a step of the multipliers and new class
weights. The small networks run on one thread, as in studies, ResNet-20 on all.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import torch
from timing import in_turns, medians, network, now, over, photographs
from torch import nn
from torch.nn import functional as F

from rdlite.data import Split
from rdlite.objectives import ROBUST
from rdlite.training import TrainConfig, fit

CASES = {  # name -> network, pixels, images, threads (None for all), turns, config
    "cnn-6, 14 px, batch 32": ("cnn-6", 14, 5000, 1, 8, TrainConfig(batch_size=32)),
    "cnn-16, 28 px, batch 128": ("cnn-16", 28, 5000, 1, 8, TrainConfig(batch_size=128)),
    "resnet-20, 32 px, batch 128, augmented": (
        "resnet-20",
        32,
        1200,
        None,
        3,
        TrainConfig(batch_size=128, shift=4, flip=True),
    ),
}


def cases(quick: bool) -> Iterator[tuple[str, str, Split, Split, TrainConfig, int]]:
    """Name, network, train and held-out split, config and turns of a case, with its threads set."""
    threads = torch.get_num_threads()
    for case, (name, pixels, images, few, turns, config) in CASES.items():
        torch.set_num_threads(few or threads)
        train, heldout = photographs(pixels, 500 if quick else images)
        config = replace(config, epochs=2 if quick else 3)
        yield case, name, train, heldout, config, 1 if quick else turns
    torch.set_num_threads(threads)


def bare(net: nn.Module, train: Split, heldout: Split, config: TrainConfig) -> list[float]:
    """Train by hand; returns the seconds of each epoch."""
    m, n, size = train.num_classes, len(train), config.batch_size
    targets, heldout_targets = F.one_hot(train.labels, m).float(), heldout.one_hot()
    prior = targets.double().mean(0)
    player = torch.full((m,), 1 / m, dtype=torch.float64)
    generator = torch.Generator().manual_seed(config.seed)
    optimiser = torch.optim.SGD(
        net.parameters(), momentum=config.momentum, weight_decay=config.weight_decay
    )
    steps, done, seconds = config.epochs * (n // size), 0, []
    for _ in range(config.epochs):
        started = now()
        weights = player / prior  # eq. (7)
        shift = (weights / weights.mean()).float().log()
        net.train()
        losses = []
        order = torch.randperm(n, generator=generator)
        for i in range(n // size):
            index = order[i * size : (i + 1) * size]
            inputs = _view(train.images[index], config, generator).float().mul_(2 / 255).sub_(1)
            share = (1 + math.cos(math.pi * done / steps)) / 2
            optimiser.param_groups[0]["lr"] = config.learning_rate * share
            log_p = torch.log_softmax(net(inputs) - shift, 1)
            loss = -(targets[index] * log_p).sum(1).mean()  # eq. (8)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
            done += 1
        float(torch.stack(losses).mean())
        net.eval()
        part = 2**17 // heldout.images[0, 0].numel()  # fastest, see README.md
        with torch.no_grad():
            parts = heldout.images.split(part)
            logits = torch.cat([net(part.float().mul_(2 / 255).sub_(1)) for part in parts])
        log_p = torch.log_softmax(logits, 1)
        risks = -(heldout_targets * log_p).mean(0) / heldout_targets.mean(0)  # eq. (1)
        right = heldout.labels[logits.argmax(1) == heldout.labels]
        float((torch.bincount(right, minlength=m) / heldout.class_counts).min())
        player = torch.softmax(player.log() + config.step_size * risks.double(), 0)  # eq. (6)
        seconds.append(now() - started)
    return seconds


def _view(images: torch.Tensor, config: TrainConfig, generator: torch.Generator) -> torch.Tensor:
    n, _, h, w = images.shape
    if config.shift:
        windows = F.pad(images, (config.shift,) * 4).unfold(2, h, 1).unfold(3, w, 1)
        dy, dx = torch.randint(2 * config.shift + 1, (2, n), generator=generator)
        images = windows[torch.arange(n), :, dy, dx]
    if config.flip:
        mirrored = torch.rand((n, 1, 1, 1), generator=generator) < 0.5
        images = torch.where(mirrored, images.flip(3), images)
    return images


def fitted(net: nn.Module, train: Split, heldout: Split, config: TrainConfig) -> list[float]:
    """Train with `fit`; returns the seconds of each epoch but the first."""
    ends: list[float] = []
    how = {"heldout": heldout, "config": config}
    fit(net, train, ROBUST, on_round=lambda _: ends.append(now()), **how)
    return [end - start for start, end in pairwise(ends)]


def measure(quick: bool = False) -> dict:
    """Ratios by case, and the medians that they come from."""
    values, seconds = {}, {}
    for case, name, train, heldout, config, turns in cases(quick):

        def run(how, name=name, train=train, heldout=heldout, config=config) -> float:
            times = how(network(name, train), train, heldout, config)
            return statistics.median(times[-(config.epochs - 1) :])  # the first warms up

        jobs = {"fit": lambda run=run: run(fitted), "bare": lambda run=run: run(bare)}
        taken = in_turns(jobs, turns)
        values[case], seconds[case] = over(taken, "fit", "bare"), medians(taken)
    return {"values": values, "seconds": seconds}
