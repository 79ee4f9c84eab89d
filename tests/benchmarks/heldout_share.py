"""The part of an epoch that goes into the held-out update, held-out a fifth of train."""

from __future__ import annotations

import statistics
from itertools import pairwise

from fit_over_bare import cases
from timing import network, now, stretches_of_sgd

from rdlite.data import Split
from rdlite.models import predict
from rdlite.objectives import ROBUST
from rdlite.training import TrainConfig, fit


def shares(name: str, train: Split, heldout: Split, config: TrainConfig) -> list[float]:
    """One minus the share of `Sgd.run_until`, for each epoch but the first."""
    net, ends = network(name, train), []
    how = {"heldout": heldout, "config": config}
    with stretches_of_sgd() as stretches:
        fit(net, train, ROBUST, on_round=lambda _: ends.append(now()), **how)
    steps = [end - start for start, end in stretches[1:]]
    epochs = [end - start for start, end in pairwise(ends)]
    return [1 - own / epoch for own, epoch in zip(steps, epochs, strict=True)]


def measure(quick: bool = False) -> dict:
    """The share by case; and that of a forward pass alone, of the last epoch."""
    values, forward = {}, {}
    for case, name, train, heldout, config, _ in cases(quick):
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
    return {"values": values, "forward pass alone": forward}
