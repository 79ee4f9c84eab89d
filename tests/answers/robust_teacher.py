"""Notebook 02: right answers and planted wrong ones, by exercise."""

import torch


def right_2_1(alpha, a, lam, prior):
    c = ((1 - alpha) * a + alpha * lam) / prior
    return len(c) * c / c.sum()


def right_2_2(lam, risks, gamma):
    gains = lam * torch.exp(gamma * (risks - risks.max()))
    return gains / gains.sum()


def naive(lam, risks, gamma):
    raised = lam * torch.exp(gamma * risks)
    return raised / raised.sum()


def right_2_3(prior, size):
    return torch.exp(size * torch.log1p(-prior))


def mean_1(c):
    return c / c.mean()


WRONG = {
    "2.1": [
        lambda alpha, a, lam, prior: ((1 - alpha) * a + alpha * lam) / prior,  # not rescaled
        lambda alpha, a, lam, prior: mean_1((1 - alpha) * a + alpha * lam),  # prior forgotten
        lambda alpha, a, lam, prior: mean_1((alpha * a + (1 - alpha) * lam) / prior),  # swapped
        lambda alpha, a, lam, prior: mean_1((1 - alpha) * a + alpha * lam / prior),  # precedence
        lambda alpha, a, lam, prior: right_2_1(alpha, a, lam, prior) / len(a),  # sum 1
        lambda alpha, a, lam, prior: mean_1(1 / prior),
        lambda alpha, a, lam, prior: mean_1(((1 - alpha) * a + alpha * lam) * prior),
        lambda alpha, a, lam, prior: right_2_1(alpha, a, lam, prior).log(),
    ],
    "2.2": [
        naive,  # overflows
        lambda lam, risks, gamma: lam * torch.exp(gamma * (risks - risks.max())),  # sum is not 1
        lambda lam, risks, gamma: torch.softmax(gamma * risks, 0),  # forgets the past
        lambda lam, risks, gamma: right_2_2(lam, -risks, gamma),  # helps the best class
        lambda lam, risks, gamma: right_2_2(lam, risks, 1.0),  # step size forgotten
        lambda lam, risks, gamma: torch.softmax(lam + gamma * risks, 0),  # no logarithm
        lambda lam, risks, gamma: naive(lam, risks.clamp(max=100), gamma),  # hides the difference
        lambda lam, risks, gamma: (lam + gamma * risks) / (lam + gamma * risks).sum(),
    ],
    "2.3": [
        lambda prior, size: 1 - (1 - prior) ** size,  # present
        lambda prior, size: 1 - prior**size,  # not all images are of this class
        lambda prior, size: 1 - prior,  # one image
        lambda prior, size: 1 - size * prior,  # negative
        lambda prior, size: torch.exp(-size * prior),  # close, not exact
        lambda prior, size: ((1 - prior) ** size)[-1],  # the rarest only
    ],
}
RIGHT = {"2.1": right_2_1, "2.2": right_2_2, "2.3": right_2_3}
