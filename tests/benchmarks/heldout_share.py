"""The part of an epoch that goes into the held-out update, held-out a fifth of train."""

from __future__ import annotations

import statistics
from dataclasses import replace
from itertools import pairwise

import torch
from fit_over_bare import CASES
from timing import network, now, photographs

from rdlite.data import Split
from rdlite.models import predict
from rdlite.objectives import ROBUST
from rdlite.sgd import Sgd
from rdlite.training import TrainConfig, fit


def shares(name: str, train: Split, heldout: Split, config: TrainConfig) -> list[float]:
    """One minus the share of `Sgd.run_until`, for each epoch but the first."""
    net, run_until = network(name, train), Sgd.run_until
    steps, ends = [], []

    def timed(*args: object) -> float:
        started = now()
        mean_loss = run_until(*args)
        steps.append(now() - started)
        return mean_loss

    Sgd.run_until = timed
    try:
        how = {"heldout": heldout, "config": config}
        fit(net, train, ROBUST, on_round=lambda _: ends.append(now()), **how)
    finally:
        Sgd.run_until = run_until
    epochs = [end - start for start, end in pairwise(ends)]
    return [1 - own / epoch for own, epoch in zip(steps[1:], epochs, strict=True)]


def measure(quick: bool = False) -> dict:
    """The share by case; and that of a forward pass alone, of the last epoch."""
    values, forward, threads = {}, {}, torch.get_num_threads()
    for case, (name, pixels, images, few, config) in CASES.items():
        torch.set_num_threads(few or threads)
        train, heldout = photographs(pixels, 500 if quick else images)
        config = replace(config, epochs=2 if quick else 3)
        found, passes = [], []
        for _ in range(1 if quick else 3):
            started = now()
            found += shares(name, train, heldout, config)
            epoch = (now() - started) / config.epochs
            net = network(name, train)
            started = now()
            predict(net, heldout.images)
            passes.append((now() - started) / epoch)
        values[case], forward[case] = statistics.median(found), statistics.median(passes)
    torch.set_num_threads(threads)
    return {"values": values, "forward pass alone": forward}
