"""What is measured: accuracy per class, average, worst, intervals, and calibration per class.

Accuracies are fractions in 0..1. The minimum over classes of noisy accuracies is biased downward:
100 classes that are all truly at 45 % with 100 test images each have an expected minimum of 33 %.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from rdlite.guards import checks


def per_class_accuracy(predictions: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Share of each class's images that are predicted right: (m,) float64, NaN without images.

    Predictions and labels are (n,) class indices; ``num_classes`` is m.

    >>> per_class_accuracy(torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 3)
    tensor([0.5000, 1.0000,    nan], dtype=torch.float64)
    """
    checks.integer("num_classes", num_classes, low=2)
    checks.class_indices("predictions", predictions, num_classes)
    checks.class_indices("labels", labels, num_classes)
    good = predictions.shape == labels.shape and labels.ndim == 1 and len(labels) > 0
    got = f"{tuple(predictions.shape)} and {tuple(labels.shape)}"
    checks.expect(good, "predictions and labels", "both have shape (n,) with n >= 1", got)
    total = torch.bincount(labels, minlength=num_classes).double()
    right = torch.bincount(labels[predictions == labels], minlength=num_classes)
    return right / total


def summary(
    logits: Tensor, labels: Tensor, *, k: int | None = None, bootstrap: int = 0, seed: int = 0
) -> dict:
    """Average, worst class and mean of the worst k on one set, with bootstrap intervals.

    Args:
        logits: (n, m); the prediction is the largest.
        labels: (n,) class indices.
        k: how many worst classes ``worst_k`` averages; by default 10 where m >= 100, else 1.
        bootstrap: resamples of the images within each class (a binomial draw a class), for 95 %
            intervals; 0 gives none. That of the worst class covers it where one class stands apart;
            where several are about equal it nearly always lies below, see `smallest_of_equals`.
        seed: of the resampling.

    Returns:
        dict of ``average`` (balanced accuracy), ``worst``, ``worst_class`` (index), ``worst_k``,
        ``per_class`` (list of m) and ``intervals``: {"average": (low, high), ...} or {}.
        Classes without images are left out.

    >>> summary(torch.eye(2)[[0, 1, 1]], torch.tensor([0, 0, 1]))["average"]
    0.75
    """
    m = checks.rows_and_labels("logits", logits, labels)
    checks.finite("logits", logits)
    checks.integer("bootstrap", bootstrap, low=0)
    checks.integer("seed", seed, low=0)
    k = (10 if m >= 100 else 1) if k is None else k
    checks.integer("k", k, low=1, high=m)
    labels = labels.cpu()
    accuracy = per_class_accuracy(logits.argmax(1).cpu(), labels, m).numpy()
    scores = {name: float(value) for name, value in _scores(accuracy, k).items()}
    intervals = {}
    if bootstrap:
        classes, counts = np.unique(labels, return_counts=True)
        random = np.random.default_rng(seed)
        draws = random.binomial(counts, accuracy[classes], (bootstrap, len(classes))) / counts
        for name, values in _scores(draws, k).items():
            intervals[name] = tuple(np.quantile(values, [0.025, 0.975]).tolist())
    worst = {"worst_class": int(np.nanargmin(accuracy))}
    return scores | worst | {"per_class": accuracy.tolist(), "intervals": intervals}


def _scores(accuracy: np.ndarray, k: int) -> dict[str, np.ndarray]:
    """Along the last axis; NaN, which sorts last, is left out."""
    return {
        "average": np.nanmean(accuracy, -1),
        "worst": np.nanmin(accuracy, -1),
        "worst_k": np.nanmean(np.sort(accuracy, -1)[..., :k], -1),
    }


def smallest_of_equals(num_classes: int, truth: float, images: int) -> float:
    """Exact expected minimum of ``num_classes`` equal accuracies: the floor of a worst class.

    What one would report as the worst class, on average, if every class were truly at ``truth``:
    the sum over k of P(every class has at least k right), divided by ``images``.

    Each of the m classes has so many ``images`` in the test set and the accuracy ``truth``.

    >>> smallest_of_equals(2, 0.5, 1)  # right for both classes: one time in four
    0.25
    """
    checks.integer("num_classes", num_classes, low=1)
    checks.number("truth", truth, low=0, high=1)
    checks.integer("images", images, low=1)
    if truth in (0, 1):
        return float(truth)
    k = np.arange(images + 1)
    logs = np.log(np.maximum(k, 1)).cumsum()  # log k!
    choices = logs[images] - logs - logs[::-1]
    share = np.exp(choices + k * np.log(truth) + (images - k) * np.log1p(-truth))
    at_least = share[::-1].cumsum()[::-1]  # P(at least k right)
    return round(float((at_least[1:] ** num_classes).sum() / images), 12)


def class_calibration(probabilities: Tensor, labels: Tensor, bins: int = 10) -> Tensor:
    """Calibration error of each class's probability, one against the rest: (m,) float64 in 0..1.

    The images are binned by ``p_y(x)`` into equal widths; the error is the mean over images of
    ``|mean p_y in the bin - frequency of label y in the bin|``. It is the observable side of the
    teacher gap, eq. (10).

    Args:
        probabilities: (n, m), rows on the simplex.
        labels: (n,) class indices.
        bins: number of bins.

    >>> class_calibration(torch.tensor([[0.75, 0.25]] * 4), torch.tensor([0, 0, 0, 1]))
    tensor([0., 0.], dtype=torch.float64)
    """
    m = checks.rows_and_labels("probabilities", probabilities, labels)
    checks.integer("bins", bins, low=1)
    checks.row_stochastic("probabilities", probabilities, m)
    p = probabilities.double()
    gap = p - torch.nn.functional.one_hot(labels.long(), m)
    bin_of = (p * bins).long().clamp_max(bins - 1)  # (n, m)
    sums = p.new_zeros(bins, m).scatter_add_(0, bin_of, gap)
    return sums.abs().sum(0) / len(labels)


def pareto(points: Tensor) -> Tensor:
    """Which models no other beats: (n,) bool, from (n, 2) accuracies such as average and worst.

    A model is beaten by one that is at least as good in both and better in one; equal ones stay.

    >>> pareto(torch.tensor([[0.8, 0.1], [0.7, 0.5], [0.7, 0.4]]))
    tensor([ True,  True, False])
    """
    points = _points(points)
    beats = (points[:, None] >= points).all(2) & (points[:, None] > points).any(2)  # (n, n)
    return ~beats.any(0)


def hypervolume(points: Tensor) -> float:
    """Area of the unit square that (n, 2) accuracies reach: below and left of one of them.

    One number for a whole frontier; 1 is perfect. A model of (0.8, 0.1) alone reaches 0.08.

    >>> round(hypervolume(torch.tensor([[0.8, 0.1], [0.7, 0.5]])), 3)  # 0.7 x 0.5 + 0.1 x 0.1
    0.36
    """
    points = _points(points)
    inside = bool(((points >= 0) & (points <= 1)).all())
    checks.expect(inside, "points", "be in 0..1", points.tolist())
    x, y = points[points[:, 0].argsort(descending=True)].T
    widths = x.diff(append=x.new_zeros(1)).neg()
    return float((widths * y.cummax(0).values).sum())


def _points(points: Tensor) -> Tensor:
    points = checks.numbers("points", points)
    good = points.ndim == 2 and points.shape[1] == 2 and len(points) > 0
    checks.expect(good, "points", "have shape (n, 2) with n >= 1", tuple(points.shape))
    checks.finite("points", points)
    return points
