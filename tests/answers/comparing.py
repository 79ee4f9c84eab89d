"""Notebook 05: right answers and planted wrong ones, by exercise."""

import torch


def right_5_1(logits, prior):
    return (logits - prior.log()).argmax(1)


def right_5_2(worst, average):
    order = [(float(w), float(a)) for w, a in zip(worst.mean(1), average.mean(1), strict=True)]
    return max(range(len(order)), key=order.__getitem__)


def right_5_3(differences, picks):
    means = torch.stack([differences[pick].mean() for pick in picks])
    return torch.quantile(means, 0.025), torch.quantile(means, 0.975)


WRONG = {
    "5.1": [
        lambda x, p: (x + p.log()).argmax(1),  # the wrong way
        lambda x, p: x.argmax(1),
        lambda x, p: (x - p).argmax(1),  # no logarithm
        lambda x, p: x - p.log(),  # no decision
        lambda x, p: (x / p).argmax(1),
    ],
    "5.2": [
        lambda w, a: int(a.mean(1).argmax()),  # by the average
        lambda w, a: int(w.max(1).values.argmax()),  # the luckiest seed
        lambda w, a: int(w.min(1).values.argmax()),
        lambda w, a: len(w) - 1 - int(w.mean(1).flip(0).argmax()),  # the last among equals
        lambda w, a: int((w + a).mean(1).argmax()),
    ],
    "5.3": [
        lambda d, i: (d.min(), d.max()),
        lambda d, i: torch.quantile(d[i].mean(1), torch.tensor([0.05, 0.95]).double()),
        lambda d, i: torch.quantile(d[i].flatten(), torch.tensor([0.025, 0.975]).double()),
        lambda d, i: torch.quantile(d[i].mean(0), torch.tensor([0.025, 0.975]).double()),
        lambda d, i: torch.quantile(d[i].mean(1), torch.tensor([0.975, 0.025]).double()),
    ],
}
RIGHT = {"5.1": right_5_1, "5.2": right_5_2, "5.3": right_5_3}
