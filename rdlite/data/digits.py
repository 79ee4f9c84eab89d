"""The handwritten digits that come with scikit-learn: 8 x 8 pixels, for tests in a second."""

from __future__ import annotations

import numpy as np
import torch

from rdlite.data.splits import Split


def read(*_: object) -> tuple[Split, Split]:
    """Pool and test set, (n, 1, 8, 8). The test set is a third of each class, always the same.

    Raises:
        ValueError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise ValueError(
            "name='digits' reads the images from scikit-learn, which is not installed; "
            "run: pip install scikit-learn"
        ) from None
    found = load_digits()
    pixels = np.round(found.images * (255 / 16)).astype(np.uint8)[:, None]  # were 0..16
    labels = found.target.astype(np.int64)
    random = np.random.RandomState(0)
    in_test = np.zeros(len(labels), dtype=bool)
    for k in range(10):
        members = random.permutation(np.flatnonzero(labels == k))
        in_test[members[len(members) - len(members) // 3 :]] = True
    names = tuple(str(k) for k in range(10))
    pool, test = (
        Split(torch.from_numpy(pixels[chosen]), torch.from_numpy(labels[chosen]), names)
        for chosen in (~in_test, in_test)
    )
    return pool, test
