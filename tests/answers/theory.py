"""Notebook 04: right answers and planted wrong ones, by exercise."""

import math

import torch


def right_4_1(num_classes, bound, excess):
    return math.ceil(bound**2 * math.log(num_classes) / (2 * excess**2))


def right_4_2(weights, eta, p):
    difference = p / (weights @ p) - eta / (weights @ eta)
    return (weights @ difference.abs()).max()


def right_4_3(p, c):
    return (p / c) / (p / c).sum(1, keepdim=True)


WRONG = {
    "4.1": [
        lambda m, b, e: int(right_4_1(m, b, e)) - 1,
        lambda m, b, e: b**2 * math.log(m) / (2 * e**2),  # not whole
        lambda m, b, e: math.ceil(b * math.log(m) / (2 * e)),  # not squared
        lambda m, b, e: math.ceil(b**2 * math.log(m) / e**2),
        lambda m, b, e: math.ceil(b**2 * math.log2(m) / (2 * e**2)),
    ],
    "4.2": [
        lambda w, eta, p: (w @ (p - eta).abs()).max(),  # no marginals
        lambda w, eta, p: (p / (w @ p) - eta / (w @ eta)).abs().mean(0).max(),  # no weights
        lambda w, eta, p: (w @ (p / (w @ p) - eta / (w @ eta)).abs()).mean(),
        lambda w, eta, p: (w @ (p / (w @ p) - eta / (w @ eta))).abs().max(),  # abs too late
        lambda w, eta, p: (w @ (p / p.mean(0) - eta / eta.mean(0)).abs()).max(),
        lambda w, eta, p: w @ (p / (w @ p) - eta / (w @ eta)).abs(),  # no maximum
    ],
    "4.3": [
        lambda p, c: p,
        lambda p, c: p / c,
        lambda p, c: (p * c) / (p * c).sum(1, keepdim=True),
        lambda p, c: (p / c) / (p / c).sum(0, keepdim=True),
        lambda p, c: torch.softmax(p - c.log(), 1),
    ],
}
RIGHT = {"4.1": right_4_1, "4.2": right_4_2, "4.3": right_4_3}
