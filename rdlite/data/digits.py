"""The handwritten digits that come with scikit-learn: 8 x 8 pixels, for tests in a second."""

from __future__ import annotations

import numpy as np
import torch

from rdlite.data import protocol
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
    counts = np.bincount(found.target)
    parts = protocol.cut(labels, [counts - counts // 3, counts // 3], seed=0)
    ordered = (part.sort().values for part in parts)
    return tuple(Split(pixels[i, None], labels[i], tuple("0123456789")) for i in ordered)
