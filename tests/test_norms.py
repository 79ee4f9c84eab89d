"""Batch norms that follow slowly: the user is told, and their statistics can be measured anew."""

import dataclasses
import re
import warnings

import numpy as np
import pytest
import torch
from test_training import network, weights
from torch import nn

from rdlite import data, metrics, models
from rdlite.models import as_input
from rdlite.objectives import ROBUST
from rdlite.training import Checkpoint, TrainConfig, fit, norms

CONFIG = TrainConfig(epochs=6, batch_size=32, learning_rate=0.05)
MEASURED = dataclasses.replace(CONFIG, batch_norm="measured")
LAG = r"right for \d+ of 32 training images, in eval mode for \d+: its batch norms lag.*measured"


@pytest.fixture(scope="module")
def colours():
    """Three colours that every network can tell apart."""
    random = np.random.default_rng(0)

    def drawn(n):
        labels = np.arange(n) % 3
        pixels = random.normal(110, 30, (n, 3, 12, 12))
        pixels[np.arange(n), labels] += 60
        return np.clip(pixels, 0, 255).astype(np.uint8), labels

    (images, labels), (tests, answers) = drawn(480), drawn(90)
    tested = {"test_images": tests, "test_labels": answers}
    return data.from_arrays(images, labels, **tested, imbalance=4, heldout=30)


def net(**how):
    """Deep enough for slow batch norms to hide everything: each keeps a part from the next."""
    torch.manual_seed(0)
    layers, inputs = [], 3
    for width in (8, 8, 16, 16, 16, 16):
        layers += [nn.Conv2d(inputs, width, 3, 1 + (inputs == 8 < width), 1, bias=False)]
        layers += [nn.BatchNorm2d(width, **how), nn.Hardswish()]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 3))


def trained(splits, model, config=CONFIG, **options):
    """The history, the worst class on the test set, and what was said."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        how = {"heldout": splits.heldout, "config": config, **options}
        history = fit(model, splits.train, ROBUST, **how)
    logits = models.predict(model, splits.test.images)
    worst = metrics.summary(logits, splits.test.labels)["worst"]
    return history, worst, [str(one.message) for one in said]


@pytest.mark.parametrize("momentum", [0.001, 0.0])
def test_slow_batch_norms_are_said_once_and_measured_ones_show_what_was_learned(colours, momentum):
    slow, measured = net(momentum=momentum), net(momentum=momentum)
    history, worst, said = trained(colours, slow)
    assert worst < 0.5 and history.rows[-1]["loss"] < 0.3, "the fault"
    assert len(said) == 1 and re.search(LAG, said[0])
    other, worst, said = trained(colours, measured, MEASURED)
    assert worst > 0.9 and other.rows[-1]["worst"] > 0.9 and said == []
    assert {one.momentum for one in measured.modules() if hasattr(one, "momentum")} == {momentum}
    first = [h.rows[0]["loss"] for h in (history, other)]
    assert first[0] == first[1], "the first round trains alike; then the player sees other risks"


@pytest.mark.parametrize("momentum", [0.1, None])
def test_batch_norms_that_keep_up_are_not_spoken_of(colours, momentum):
    config = dataclasses.replace(CONFIG, epochs=10, learning_rate=0.02)
    _, worst, said = trained(colours, net(momentum=momentum), config)
    assert worst > 0.9 and said == []


def test_batch_norms_without_statistics_are_said(colours):
    for config in (CONFIG, MEASURED):
        model = net(track_running_stats=False)
        _, _, said = trained(colours, model, dataclasses.replace(config, epochs=1))
        assert len(said) == 1
        assert said[0].endswith("the images beside it; make them with track_running_stats=True")


@pytest.mark.parametrize("config", [CONFIG, MEASURED])
def test_frozen_batch_norms_stay_as_they_are(colours, config):
    model = net()
    norm = model[1].eval()
    norm.running_mean.fill_(0.25)
    trained(colours, model, dataclasses.replace(config, epochs=1))
    assert not norm.training and model.training and model[4].training
    assert norm.running_mean.eq(0.25).all() and int(norm.num_batches_tracked) == 0
    assert model[4].running_mean.abs().min() > 0, "the others move"


def test_a_network_that_is_in_eval_mode_as_a_whole_is_trained(long_tail):
    config, how = dataclasses.replace(CONFIG, epochs=1), {"heldout": long_tail.heldout}
    a, b = network(), network().eval()
    for model in (a, b):
        fit(model, long_tail.train, ROBUST, config=config, **how)
    assert torch.equal(weights(a), weights(b))


def test_measured_statistics_are_those_of_the_training_images(long_tail):
    """By hand for the first batch norm: 12 batches of 32 are all images but the 19 left over."""
    model, config = network(), dataclasses.replace(MEASURED, epochs=1)
    fit(model, long_tail.train, ROBUST, heldout=long_tail.heldout, config=config)
    first = next(one for one in model.modules() if isinstance(one, nn.BatchNorm2d))
    with torch.no_grad():
        seen = model[:2](as_input(long_tail.train.images)).transpose(0, 1).flatten(1)
    torch.testing.assert_close(first.running_mean, seen.mean(1), rtol=0.05, atol=0.01)
    torch.testing.assert_close(first.running_var, seen.var(1), rtol=0.1, atol=0)
    assert int(first.num_batches_tracked) == 12


def test_measuring_draws_nothing_and_goes_on_bit_for_bit(colours, tmp_path):
    def model():
        return nn.Sequential(*net(momentum=0.001)[:-1], nn.Dropout(0.5), nn.Linear(16, 3))

    def stop(row):
        if row["round"] == 2:
            raise KeyboardInterrupt

    path, (a, b) = tmp_path / "c.pt", (model(), model())
    b.load_state_dict(a.state_dict())
    with pytest.raises(KeyboardInterrupt):
        trained(colours, b, MEASURED, checkpoint=Checkpoint(path=path), on_round=stop)
    again = Checkpoint(path=path, resume=True)
    histories = [trained(colours, a, MEASURED)[0]]
    histories += [trained(colours, b, MEASURED, checkpoint=again)[0]]
    assert torch.equal(histories[0].risks, histories[1].risks)
    torch.testing.assert_close(a.state_dict(), b.state_dict(), rtol=0, atol=0)


def test_a_failure_leaves_the_network_as_it_was():
    model = net(momentum=0.3)

    def views():
        yield torch.zeros(4, 3, 12, 12)
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        norms.measure(model, views())
    assert model[1].momentum == 0.3 and all(module.training for module in model.modules())
