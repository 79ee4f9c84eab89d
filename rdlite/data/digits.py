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
    pixels = torch.from_numpy(np.round(found.images * (255 / 16)).astype(np.uint8))  # were 0..16
    labels = torch.from_numpy(found.target).long()
    random, in_test = np.random.RandomState(0), torch.zeros(len(labels), dtype=torch.bool)
    for k in range(10):
        members = random.permutation(np.flatnonzero(found.target == k))
        in_test[members[len(members) - len(members) // 3 :]] = True
    parts = (Split(pixels[i, None], labels[i], tuple("0123456789")) for i in (~in_test, in_test))
    return tuple(parts)
