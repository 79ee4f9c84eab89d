"""The exercise of notebook 02 in which the learner writes the whole algorithm."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor

from rdlite import models
from rdlite.data import batches, from_arrays
from rdlite.exercises.judging import judge
from rdlite.objectives import ROBUST
from rdlite.training import TrainConfig, fit

CONFIG = TrainConfig(epochs=3, batch_size=8, schedule="constant", step_size=0.5, seed=0)


def check_2_4(robust_loop: Callable[..., Tensor]) -> None:
    """Eqs (6)-(8), as `rdlite.training.fit` has them, over three rounds of the same batches.

    (net, optimiser, rounds, heldout, prior, step_size) -> (K, m), the multipliers after each round.
    A round is a list of batches, each inputs (B, c, h, w) and one-hot labels (B, m); so is
    ``heldout``.
    """
    pixels = torch.randint(256, (72, 1, 14, 14), generator=torch.Generator().manual_seed(0)).byte()
    labels = torch.arange(72) % 3
    pixels[labels == 2] //= 4  # one class is darker, so the risks differ
    test = {"test_images": pixels[:3], "test_labels": labels[:3]}
    splits = from_arrays(pixels, labels, imbalance=4, heldout=8, **test)
    train, heldout = splits.train, splits.heldout
    net = models.create("cnn-4", num_classes=3, in_channels=1)
    how = {"lr": CONFIG.learning_rate, "momentum": CONFIG.momentum}
    optimiser = torch.optim.SGD(net.parameters(), weight_decay=CONFIG.weight_decay, **how)
    views = batches.Views(train.images, train.labels, batch_size=CONFIG.batch_size, seed=0)
    steps = batches.steps_per_epoch(len(train), CONFIG.batch_size)
    rounds = [
        [(inputs, train.one_hot()[index]) for index, inputs in (next(views) for _ in range(steps))]
        for _ in range(CONFIG.epochs)
    ]
    images = batches.as_input(heldout.images), heldout.one_hot()
    longer = CONFIG.epochs + 1  # a history has the multipliers with which a round began

    def reference(*_: object) -> Tensor:
        config = TrainConfig(**{**vars(CONFIG), "epochs": longer})
        history = fit(copy.deepcopy(net), train, ROBUST, heldout=heldout, config=config)
        return history.multipliers[1:]

    prior = train.class_counts / len(train)
    arguments = net, optimiser, rounds, images, prior.double(), CONFIG.step_size
    judge("2.4", robust_loop, reference, {"three rounds of cnn-4": arguments})
