"""The digits of scikit-learn, and what is said where it is not installed."""

import sys
import types

import numpy as np
import pytest
import torch

from rdlite import data

FINGERPRINT = "a699880fdd666f0b"  # of imbalance=10, head=100, heldout=16


@pytest.fixture
def stand_in(monkeypatch):
    """A module in the place of scikit-learn, with 12 images a class in its format."""
    labels = np.arange(120) % 10
    images = np.random.RandomState(0).randint(0, 17, (120, 8, 8)).astype(float)
    images[:, 0, 0] = labels
    found = types.SimpleNamespace(images=images, target=labels)
    module = types.ModuleType("sklearn.datasets")
    module.load_digits = lambda: found
    monkeypatch.setitem(sys.modules, "sklearn", types.ModuleType("sklearn"))
    monkeypatch.setitem(sys.modules, "sklearn.datasets", module)
    return found


def test_pixels_are_scaled_and_keep_their_labels(stand_in):
    splits = data.load("digits", imbalance=1, head=None, heldout=0)
    assert splits.train.images.shape == (80, 1, 8, 8)
    assert splits.train.class_counts.tolist() == [8] * 10
    assert splits.test.class_counts.tolist() == [4] * 10
    assert splits.class_names == tuple("0123456789")
    wanted = {np.round(image * 255 / 16).astype(np.uint8).tobytes() for image in stand_in.images}
    got = [*splits.train.images, *splits.test.images]
    assert {image.numpy().tobytes() for image in got} == wanted  # none twice, none missing
    for split in (splits.train, splits.test):
        assert torch.equal(split.images[:, 0, 0, 0].double().mul(16 / 255).round(), split.labels)


def test_test_set_is_the_same_for_every_draw(stand_in):
    first, second = (data.load("digits", head=5, heldout=2, seed=seed) for seed in (0, 1))
    assert torch.equal(first.test.images, second.test.images)
    assert first.fingerprint != second.fingerprint


def test_size_shrinks_the_digits(stand_in):
    small = data.load("digits", head=5, heldout=2, size=4)
    assert small.train.images.shape[1:] == (1, 4, 4)
    with pytest.raises(ValueError, match=r"size must be .* at most 8, got 9"):
        data.load("digits", size=9)


def test_missing_scikit_learn_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ValueError, match=r"not installed; run: pip install scikit-learn"):
        data.load("digits", head=10, heldout=2)


def test_real_digits_have_their_known_counts_and_fingerprint():
    pytest.importorskip("sklearn", reason="needs scikit-learn")
    splits = data.load("digits", imbalance=10, head=100, heldout=16)
    pool = data.digits.read()[0].class_counts
    total = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (pool + splits.test.class_counts).tolist() == total
    assert splits.test.class_counts.tolist() == [n // 3 for n in total]
    assert splits.train.class_counts.tolist() == data.long_tail_counts(100, 10, 10)
    assert (int(splits.test.images.min()), int(splits.test.images.max())) == (0, 255)
    assert splits.fingerprint == FINGERPRINT
