"""Notebook 03: right answers and planted wrong ones, by exercise."""

import torch


def right_3_1(a, b):
    return (a - b).mean(), (a - b).std() / len(a) ** 0.5


def right_3_2(points):
    return torch.tensor(
        [not any(bool((q >= p).all() and (q > p).any()) for q in points) for p in points]
    )


WRONG = {
    "3.1": [
        lambda a, b: (a - b).mean(),  # no error
        lambda a, b: ((b - a).mean(), right_3_1(a, b)[1]),
        lambda a, b: ((a - b).mean(), (a - b).std()),  # not divided
        lambda a, b: ((a - b).mean(), (a - b).std() / len(a)),
        lambda a, b: ((a - b).mean(), (a - b).std(unbiased=False) / len(a) ** 0.5),
        lambda a, b: ((a - b).mean(), ((a.var() + b.var()) / len(a)) ** 0.5),  # not paired
    ],
    "3.2": [
        lambda x: x[:, 1] == x[:, 1].max(),  # best in one only
        lambda x: torch.tensor([not any(bool((q > p).all()) for q in x) for p in x]),  # both better
        lambda x: torch.tensor([not any(bool((q >= p).all()) for q in x) for p in x]),  # itself
        lambda x: ~right_3_2(x),
        lambda x: x[right_3_2(x)],
    ],
}
RIGHT = {"3.1": right_3_1, "3.2": right_3_2}
