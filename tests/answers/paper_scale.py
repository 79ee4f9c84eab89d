"""Notebook 06: right answers and planted wrong ones, by exercise."""


def right_6_1(head, num_classes, imbalance):
    last = num_classes - 1
    return [int(head * imbalance ** (-k / last) + 1e-9) for k in range(num_classes)]


def right_6_2(images, batch_size, epochs, seconds):
    return (images // batch_size) * epochs * seconds / 3600


def right_6_3(means, variances):
    mean = means.mean()
    return mean, (variances + means**2).mean() - mean**2


WRONG = {
    "6.1": [
        lambda n, m, r: [int(n * r ** (-k / m)) for k in range(m)],  # m instead of m - 1
        lambda n, m, r: [n * r ** (-k / (m - 1)) for k in range(m)],  # not whole
        lambda n, m, r: [round(n * r ** (-k / (m - 1))) for k in range(m)],
        lambda n, m, r: [int(n - (n - n / r) * k / (m - 1)) for k in range(m)],  # a straight line
        lambda n, m, r: right_6_1(n, m, r)[::-1],
        lambda n, m, r: sum(right_6_1(n, m, r)),
    ],
    "6.2": [
        lambda n, b, e, s: n * e * s / 3600,  # a step an image
        lambda n, b, e, s: (n // b) * e * s,  # seconds
        lambda n, b, e, s: (n // b) * s / 3600,  # one epoch
        lambda n, b, e, s: (n // b) * e * s / 60,
    ],
    "6.3": [
        lambda means, v: (means.mean(), v.mean()),  # what separate batch norms do
        lambda means, v: (means.mean(), v.mean() + means.var()),  # n - 1
        lambda means, v: (means.sum(), v.sum()),
        lambda means, v: (means.mean(), (v + means**2).mean()),
        lambda means, v: right_6_3(means, v)[::-1],
    ],
}
RIGHT = {"6.1": right_6_1, "6.2": right_6_2, "6.3": right_6_3}
