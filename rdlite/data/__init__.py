"""Named data sets, and your own images, as long-tailed splits of plain tensors.

The training pool of a data set is cut into train and held-out, both with the same exponential
profile, your own images as they are; the official test set stays whole. Nothing is ever chosen on
the test set.
"""

from rdlite.data.fashion_mnist import FASHION_MNIST_ARCHIVES, FASHION_MNIST_CLASSES
from rdlite.data.named import SOURCES, default_root, load
from rdlite.data.own import from_arrays, from_dataset, from_folder
from rdlite.data.protocol import long_tail_counts
from rdlite.data.splits import Split, Splits

__all__ = [
    "FASHION_MNIST_ARCHIVES",
    "FASHION_MNIST_CLASSES",
    "SOURCES",
    "Split",
    "Splits",
    "default_root",
    "from_arrays",
    "from_dataset",
    "from_folder",
    "load",
    "long_tail_counts",
]
