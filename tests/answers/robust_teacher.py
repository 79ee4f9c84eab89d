"""Notebook 02: right answers and planted wrong ones, by exercise."""

from functools import partial

import torch


def right_2_1(alpha, a, multipliers, prior):
    return mean_1(((1 - alpha) * a + alpha * multipliers) / prior)


def right_2_2(multipliers, risks, gamma):
    return sum_1(multipliers * torch.exp(gamma * (risks - risks.max())))


def naive(multipliers, risks, gamma):
    return sum_1(multipliers * torch.exp(gamma * risks))


def right_2_3(prior, size):
    return torch.exp(size * torch.log1p(-prior))


def loop(net, optimiser, rounds, heldout, prior, gamma, *, change=""):
    lam, played = torch.full_like(prior, 1 / len(prior)), []
    for batches in rounds:
        c = lam / prior
        c = c if change == "not rescaled" else c / c.mean()
        net.train()
        for x, targets in batches:
            logits = net(x)
            shifted = logits if change == "no margin" else logits - c.log().float()
            loss = -(targets * torch.log_softmax(shifted, 1)).sum(1).mean()
            if change != "gradients pile up":
                optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        if change != "eval forgotten":
            net.eval()
        x, targets = batches[-1] if change == "looks at the last batch" else heldout
        with torch.no_grad():
            losses = -(targets * torch.log_softmax(net(x), 1)).double()
        risks = losses.sum(0) / targets.sum(0)
        if change == "risks weighted by size":
            risks = losses.mean(0)
        lam = sum_1(lam * torch.exp((-gamma if change == "wrong sign" else gamma) * risks))
        played.append(lam)
        if change == "starts anew":
            lam = torch.full_like(prior, 1 / len(prior))
    return torch.stack(played)


def mean_1(c):
    return c / c.mean()


def sum_1(c):
    return c / c.sum()


WRONG = {
    "2.1": [
        # not rescaled
        lambda alpha, a, multipliers, prior: ((1 - alpha) * a + alpha * multipliers) / prior,
        # prior forgotten
        lambda alpha, a, multipliers, prior: mean_1((1 - alpha) * a + alpha * multipliers),
        # swapped
        lambda alpha, a, multipliers, prior: right_2_1(1 - alpha, a, multipliers, prior),
        # precedence
        lambda alpha, a, multipliers, prior: mean_1((1 - alpha) * a + alpha * multipliers / prior),
        # sum 1
        lambda alpha, a, multipliers, prior: right_2_1(alpha, a, multipliers, prior) / len(a),
        lambda alpha, a, multipliers, prior: mean_1(1 / prior),
        lambda alpha, a, multipliers, prior: right_2_1(alpha, a, multipliers, 1 / prior),
        lambda alpha, a, multipliers, prior: right_2_1(alpha, a, multipliers, prior).log(),
    ],
    "2.2": [
        naive,  # overflows
        # sum is not 1
        lambda multipliers, risks, gamma: multipliers * torch.exp(gamma * (risks - risks.max())),
        # forgets the past
        lambda multipliers, risks, gamma: torch.softmax(gamma * risks, 0),
        # helps the best class
        lambda multipliers, risks, gamma: right_2_2(multipliers, -risks, gamma),
        # step size forgotten
        lambda multipliers, risks, gamma: right_2_2(multipliers, risks, 1.0),
        # no logarithm
        lambda multipliers, risks, gamma: torch.softmax(multipliers + gamma * risks, 0),
        # hides the difference
        lambda multipliers, risks, gamma: naive(multipliers, risks.clamp(max=100), gamma),
        lambda multipliers, risks, gamma: sum_1(multipliers + gamma * risks),
    ],
    "2.3": [
        lambda prior, size: 1 - (1 - prior) ** size,  # present
        lambda prior, size: 1 - prior**size,  # not all images are of this class
        lambda prior, size: 1 - prior,  # one image
        lambda prior, size: 1 - size * prior,  # negative
        lambda prior, size: torch.exp(-size * prior),  # close, not exact
        lambda prior, size: ((1 - prior) ** size)[-1],  # the rarest only
    ],
    "2.4": [
        partial(loop, change=change)
        for change in (
            "no margin",
            "gradients pile up",
            "looks at the last batch",
            "risks weighted by size",
            "wrong sign",
            "starts anew",
            "eval forgotten",
        )
    ],
}
RIGHT = {"2.1": right_2_1, "2.2": right_2_2, "2.3": right_2_3, "2.4": loop}
