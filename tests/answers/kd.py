"""Notebook 01: right answers and planted wrong ones, by exercise."""

import numpy as np
import torch
from torch.nn import functional as F


def right_1_1(logits, targets):
    return -(targets * torch.log_softmax(logits, 1)).sum(0) / targets.sum(0)


def right_1_2(m, truth, n):
    return (np.random.default_rng(1).binomial(n, truth, (5_000, m)) / n).min(1).mean()


def kl(student, teacher, t, reduction="batchmean"):
    logs = torch.log_softmax(student / t, 1)
    return F.kl_div(logs, torch.softmax(teacher / t, 1), reduction=reduction)


def right_1_3(student, teacher, t):
    return t**2 * kl(student, teacher, t)


def cross_entropy(student, teacher, t):
    return t**2 * F.cross_entropy(student / t, torch.softmax(teacher / t, 1))


WRONG = {
    "1.1": [
        lambda f, p: -(p * torch.log_softmax(f, 1)).mean(0),  # not divided by the marginal
        lambda f, p: -torch.log_softmax(f, 1).mean(0),  # every image counts for every class
        lambda f, p: -(p * torch.log_softmax(f, 0)).sum(0) / p.sum(0),  # softmax over images
        lambda f, p: (p * torch.log_softmax(f, 1)).sum(0) / p.sum(0),  # sign
        lambda f, p: -(p * torch.softmax(f, 1)).sum(0) / p.sum(0),  # no logarithm
        lambda f, p: -(p * torch.log_softmax(f, 1)).sum(1).mean(),  # one number
        lambda f, p: right_1_1(f, torch.eye(p.shape[1]).to(p)[p.argmax(1)]),  # hardened
    ],
    "1.2": [
        lambda m, p, n: p,
        lambda m, p, n: np.random.default_rng(0).binomial(n, p, m).min() / n,  # one draw
        lambda m, p, n: (np.random.default_rng(0).binomial(n, p, (5_000, m)) / n).mean(0).min(),
        lambda m, p, n: np.random.default_rng(0).binomial(n, p, (5_000, m)).min(1).mean(),
        lambda m, p, n: (np.random.default_rng(0).binomial(n, p, (5_000, m)) / n).min(1),
    ],
    "1.3": [
        kl,  # no T^2
        lambda s, z, t: t**2 * kl(s, z, t, "mean"),  # divided by B m
        lambda s, z, t: t**2 * kl(s, z, t, "sum"),
        lambda s, z, t: t**2 * kl(z, s, t),  # the wrong way round
        lambda s, z, t: kl(s, z, 1.0),  # T forgotten
        lambda s, z, t: t * kl(s, z, t),
        lambda s, z, t: t**2 * kl(s * t, z, t),  # the student not softened
        cross_entropy,  # the teacher's entropy not subtracted
    ],
}
RIGHT = {"1.1": right_1_1, "1.2": right_1_2, "1.3": right_1_3}
