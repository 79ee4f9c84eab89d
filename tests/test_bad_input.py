"""Bad input ends in an error that names the argument, says what came and what would do.

One table of calls over the public functions, one of command lines and one of spec files. An error
is a ValueError or an OSError raised in a frame of rdlite, or exit code 2; what would have been a
silent NaN is an error, too.
"""

import dataclasses
import functools
import gzip
import math
import re
import resource
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from test_data_archives import entry
from test_report import study as reported
from test_report import table as rows_of_a_study

import rdlite
from rdlite import __main__ as cli
from rdlite import baselines, data, metrics, models, multipliers, plots, studies, theory
from rdlite.data import Split, batches, from_arrays, from_dataset, from_folder
from rdlite.data.named import ARCHIVES
from rdlite.distillation import distill, predict, soft_targets
from rdlite.objectives import (
    BALANCED,
    ROBUST,
    STANDARD,
    Objective,
    class_risks,
    margin_loss,
    reweighted_loss,
)
from rdlite.panels import ClassWeightPanel, PlanePanel, TeacherPanel, TradeoffPanel
from rdlite.studies import claims, comparison, cost, demo, report, results, table
from rdlite.studies.run import Run
from rdlite.studies.spec import GridSpec, recipe
from rdlite.studies.store import Store
from rdlite.theory import students
from rdlite.theory.mixture import GaussianMixture
from rdlite.theory.population import Population
from rdlite.theory.teachers import distort
from rdlite.training import TrainConfig, fit, losses
from rdlite.training.checkpoints import Checkpoint

NAN, INF = math.nan, math.inf
PACKAGE = Path(rdlite.__file__).parent
TORCH = str(Path(torch.__file__).parent)
LABELS = np.arange(36) % 3
PIXELS = np.random.default_rng(0).integers(0, 256, (36, 1, 8, 8), dtype=np.uint8)
ZEROS, EYE, HALVES = torch.zeros(3, 3), torch.eye(3), torch.full((2,), 0.5)
SPLITS = from_arrays(
    PIXELS, LABELS, test_images=PIXELS, test_labels=LABELS, imbalance=2, head=6, heldout=4
)
TRAIN, HELDOUT = SPLITS.train, SPLITS.heldout
SHORT = TrainConfig(epochs=1, batch_size=4)
POPULATION = Population([0.5, 0.5], [[0.9, 0.1], [0.3, 0.7]])
MIXTURE = GaussianMixture.three_classes()
NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")


@dataclasses.dataclass(frozen=True)
class Bad:
    """A call that cannot work, and words that its message must have."""

    name: str
    call: Callable
    words: tuple[str, ...]
    error: type[Exception] = ValueError
    marks: tuple = ()


def bad(name, call, *words, error=ValueError, marks=()):
    return pytest.param(Bad(name, call, words, error, marks), id=name, marks=marks)


def net(name="cnn-4", num_classes=3, in_channels=1):
    return models.create(name, num_classes=num_classes, in_channels=in_channels)


def arrays(images=PIXELS, labels=LABELS, **options):
    both = {"test_images": PIXELS, "test_labels": LABELS, "heldout": 4}
    return from_arrays(images, labels, **both | options)


def train(model=None, split=TRAIN, objective=ROBUST, **options):
    how = {"heldout": HELDOUT, "config": SHORT} | options
    return fit(net() if model is None else model, split, objective, **how)


def taught(teacher=None, splits=SPLITS, objective=ROBUST, **options):
    teacher = net("linear") if teacher is None else teacher
    return distill(teacher, net(), splits, objective, **{"config": SHORT} | options)


def without(split, k, classes=None):
    """``split`` without the images of class k, of the first few classes."""
    keep = split.labels != k
    return Split(split.images[keep], split.labels[keep], split.class_names[:classes])


def part(split, n, classes=None):
    """The first n images of ``split``, of the first few classes."""
    return Split(split.images[:n], split.labels[:n], split.class_names[:classes])


def weight_panel(**changes):
    arguments = {
        "logits": torch.eye(3).repeat(2, 1),
        "labels": torch.arange(3).repeat(2),
        "class_names": ["a", "b", "c"],
        "class_counts": [3, 2, 1],
    }
    return ClassWeightPanel(**arguments | changes)


def set_state(panel, **state):
    panel.state = state


def learn(changes=None, **options):
    """`train_students` on three points."""
    arguments = {
        "points": torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        "targets": EYE,
        "heldout_points": torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]),
        "heldout_targets": EYE,
        "alphas": [0.5],
        "rounds": 2,
    }
    return students.train_students(**arguments | options)


TINY_RUN = {"head": 20, "heldout": 4, "imbalance": 2, "size": 8, "network": "linear"}
TINY_RUN["config"] = TrainConfig(epochs=1)


@functools.cache
def plane_panel():
    return PlanePanel()


def class_folders(root, content=b"not an image"):
    """train/ and test/ with the folders a and b, an image file in each."""
    for name in ("train/a", "train/b", "test/a", "test/b"):
        (root / name).mkdir(parents=True)
        (root / name / "0.png").write_bytes(content)
    return root


def range_of(n):
    """A data set of ``n`` images that takes no memory itself."""
    item = torch.zeros(3, 1000, 1000), 0
    return type("Range", (), {"__len__": lambda _: n, "__getitem__": lambda _, i: item})()


def file_in(root, content=b"a file"):
    """A file where a folder should be: this cannot be written even by root."""
    path = root / "a file"
    path.write_bytes(content)
    return path


def damaged_archive(root, name, content):
    """``content`` where the archive of CIFAR or Tiny ImageNet should be, with the right sum."""
    path = root / ARCHIVES[name].file
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    kept = ARCHIVES[name]
    ARCHIVES[name] = entry("http://127.0.0.1:9/none", content, kept.file, classes=kept.classes)
    try:
        return data.load(name, root=root)
    finally:
        ARCHIVES[name] = kept


def damaged_fashion_mnist(root):
    raw = root / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in data.FASHION_MNIST_ARCHIVES:
        (raw / file).write_bytes(gzip.compress(b"no images"))
    return data.load(root=root)


def damaged_study(root, name, content):
    """A shipped study with one file spoiled."""
    for file in (results.SHIPPED / "softness").iterdir():
        (root / file.name).write_bytes(file.read_bytes())
    (root / name).write_text(content)
    return results.read(root)


def damaged_store(root, ending, content):
    """A store in which the file of a finished run is spoiled, asked for that run."""
    store, run = Store(root), Run(**TINY_RUN)
    store.finish(run, weights=True)
    (root / f"{run.key}{ending}").write_bytes(content)
    return store.network(run) if ending == ".safetensors" else store.result(run)


def on_a_full_disk(call):
    """``call`` where a file cannot grow beyond 500 bytes, for anyone: like a disk that is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, before[1]))
    try:
        call()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


BAD_DATA = [
    bad(
        "an unknown data set",
        lambda w: data.load("fashon-mnist"),
        "name must be one of",
        "'fashon-mnist'; did you mean 'fashion-mnist'?",
    ),
    bad("imbalance below 1", lambda w: data.load(imbalance=0.5), "imbalance", "[1, inf]", "0.5"),
    bad("imbalance of NaN", lambda w: arrays(imbalance=NAN), "imbalance", "[1, inf]", "nan"),
    bad("no image in the head", lambda w: data.load(head=0), "head", "at least 1, got 0"),
    bad(
        "more images than a class has",
        lambda w: arrays(head=9),
        "head and heldout ask for 9 + 4 images of class 0, which has 12; lower head or heldout",
    ),
    bad("held-out below 0", lambda w: data.load(heldout=-1), "heldout", "at least 0, got -1"),
    bad("a seed below 0", lambda w: arrays(seed=-1), "seed", "at least 0", "got -1"),
    bad("a seed that is no number", lambda w: arrays(seed="0"), "seed", "whole number", "'0'"),
    bad("too small a size", lambda w: data.load(size=3), "size", "at least 4", "got 3"),
    bad("too large a size", lambda w: arrays(size=9), "size", "at most 8, got 9"),
    bad("a size as text", lambda w: data.load(size="14"), "size", "whole number", "'14'"),
    bad(
        "an archive that is missing",
        lambda w: data.load(root=w.folder),
        "train-images-idx3-ubyte.gz is missing",
        "restore it",
        error=OSError,
    ),
    bad(
        "a corrupt archive of Fashion-MNIST",
        lambda w: damaged_fashion_mnist(w.folder),
        "train-images-idx3-ubyte.gz is damaged: expected MD5",
        "restore it",
        error=OSError,
    ),
    bad(
        "an empty archive of CIFAR-10",
        lambda w: damaged_archive(w.folder, "cifar10", b""),
        "cifar-10-binary.tar.gz cannot be read",
        error=OSError,
    ),
    bad(
        "a corrupt archive of CIFAR-100",
        lambda w: damaged_archive(w.folder, "cifar100", b"\x1f\x8b" + bytes(100)),
        "cifar-100-binary.tar.gz cannot be read",
        error=OSError,
    ),
    bad(
        "a corrupt archive of Tiny ImageNet",
        lambda w: damaged_archive(w.folder, "tiny-imagenet", b"PK\x03\x04" + bytes(100)),
        "tiny-imagenet-200.zip cannot be read",
        error=OSError,
    ),
    bad("a long tail of one class", lambda w: data.long_tail_counts(9, 1, 2), "num_classes", "1"),
    bad("float images", lambda w: arrays(PIXELS / 255), "images", "float64", ".astype('uint8')"),
    bad("images without channels", lambda w: arrays(PIXELS[:, 0]), "images", "images[:, None]"),
    bad("images with channels last", lambda w: arrays(PIXELS.repeat(3, 1).transpose(0, 2, 3, 1)),
        "images", "numpy.moveaxis"),
    bad("no images", lambda w: arrays(PIXELS[:0], LABELS[:0]), "images", "n >= 1", "(0, 1, 8, 8)"),
    bad(
        "images of different sizes",
        lambda w: arrays([np.zeros((1, 8, 8)), np.zeros((1, 9, 9))], LABELS[:2]),
        "images must be",
        "one shape",
    ),
    bad("float labels", lambda w: arrays(labels=LABELS / 1.0), "labels", "whole", "float64"),
    bad("labels as text", lambda w: arrays(labels=["a", "b", "c"] * 12), "labels", "whole numbers"),
    bad("too few labels", lambda w: arrays(labels=LABELS[:-1]), "labels", "(36,)", "(35,)"),
    bad("a label below 0", lambda w: arrays(labels=LABELS - 1), "labels", "0..1", "-1..1"),
    bad(
        "a label beyond the names",
        lambda w: arrays(class_names=["a", "b"]),
        "labels",
        "0..1",
        "0..2",
    ),
    bad(
        "a class absent from the pool",
        lambda w: arrays(labels=2 * (LABELS > 0)),
        "labels must have every class of 0..2, got none of 1",
    ),
    bad(
        "a class absent from the test set",
        lambda w: arrays(test_labels=LABELS % 2),
        "test_labels must have every class of 0..2, got none of 2",
    ),
    bad("one class only", lambda w: arrays(labels=0 * LABELS), "at least 2 classes, got 1"),
    bad("one image only", lambda w: arrays(PIXELS[:1], [0]), "at least 2 classes, got 1"),
    bad("one name as the names", lambda w: arrays(class_names="abc"), "class_names", "list", "abc"),
    bad("test images of another size", lambda w: arrays(test_images=PIXELS[..., :7]),
        "test_images", "(1, 8, 8)", "(1, 8, 7)"),
    bad("a folder that is not there", lambda w: from_folder(w.folder / "x"), "x is missing",
        "must hold a folder for each class", error=OSError),
    bad("a file for a folder", lambda w: from_folder(file_in(w.folder)), "is missing",
        error=OSError),
    bad("no folder", lambda w: from_folder(None), "path", "None"),
    bad("files that are no images", lambda w: from_folder(class_folders(w.folder)),
        "0.png cannot be read as an image", error=OSError),
    bad("two channels", lambda w: from_folder(w.folder, in_channels=2), "in_channels", "1 or 3"),
    bad("a class folder that is not there",
        lambda w: from_folder(class_folders(w.folder), class_names=["a", "c"]),
        "class_names must be the class folders ['a', 'b']", "['a', 'c']"),
    bad("test images without their labels", lambda w: from_arrays(PIXELS, LABELS,
        test_images=PIXELS), "test_labels must be whole numbers of shape (36,)"),
    bad("test labels without their images", lambda w: from_arrays(PIXELS, LABELS,
        test_labels=LABELS), "test_images must be uint8"),
    bad("a test set cut beside one that is given", lambda w: arrays(test=0.2),
        "test must be None where a test set is given", "0.2"),
    bad("no test set at all", lambda w: from_arrays(PIXELS, LABELS, test=0), "test", "above 0",
        "got 0"),
    bad("a share of 1", lambda w: arrays(heldout=1.0), "heldout", "share below 1", "got 1.0"),
    bad("a share as text", lambda w: arrays(selection="0.1"), "selection", "share", "'0.1'"),
    bad("a class too small for its parts",
        lambda w: from_arrays(PIXELS[:28], np.repeat([0, 1], [24, 4]), class_names=["ox", "yak"]),
        "head and heldout ask for 1 + 2 images of class yak, which has 2 left beside test"),
    bad("an order of a class unknown", lambda w: arrays(imbalance=2, order=["0", "1", "3"]),
        "order must be the classes ['0', '1', '2'] in some order", "'3'"),
    bad("an order of nothing", lambda w: arrays(order=["2", "1", "0"]), "order", "imbalance"),
    bad("two classes of one name", lambda w: arrays(class_names=["a", "b", "a"]), "class_names",
        "different", "['a', 'b', 'a']"),
    bad("too few groups", lambda w: arrays(groups=[0, 1]), "groups", "each of 36 images",
        "2 values"),
    bad("groups of lists", lambda w: arrays(groups=[[0]] * 36), "groups", "unhashable"),
    bad("one number as the groups", lambda w: arrays(groups=5), "groups", "got 5"),
    bad("a class in one group", lambda w: arrays(groups=LABELS), "images of class",
        "left beside heldout"),
    bad("groups that match no file",
        lambda w: from_folder(class_folders(w.folder), groups="[a-z]+_"), "groups must match",
        "'0.png'", "[^_]+"),
    bad("groups that are no expression", lambda w: from_folder(class_folders(w.folder), groups="("),
        "groups", "regular expression", "'('"),
    bad("groups in train and test", lambda w: from_folder(class_folders(w.folder), groups=".*"),
        "groups must keep train and test apart", "'0.png'"),
    bad("a background of no colour", lambda w: from_folder(w.folder, background="wite"),
        "background", "'wite'", "'white'"),
    bad("a folder as the data set", lambda w: from_dataset(w.folder), "dataset",
        "items by number", "PosixPath"),
    bad("all parts for a data set", lambda w: from_dataset({"train": [], "test": []}), "dataset",
        "one of its parts, ['train', 'test']"),
    bad("a data set of nothing", lambda w: from_dataset([]), "dataset", "a list"),
    bad("items of images alone", lambda w: from_dataset(list(PIXELS)), "dataset[0]",
        "(image, label)", "ndarray"),
    bad("labels as text in items", lambda w: from_dataset([(PIXELS[0], "cat")]), "dataset[0]",
        "whole number", "'cat'"),
    bad("a column misspelt", lambda w: from_dataset([{"img": PIXELS[0], "label": 0}]),
        "columns must be two of the columns ['img', 'label']", "('image', 'label')"),
    bad("one column", lambda w: from_dataset([], columns="image"), "columns", "'image'"),
    bad("normalised images", lambda w: from_dataset([(torch.full((3, 8, 8), -1.0), 0)]),
        "dataset[0]", "0..1", "Normalize"),
    bad("images of five channels", lambda w: from_dataset([(np.zeros((8, 8, 5), np.uint8), 0)]),
        "dataset[0]", "(h, w, c)", "(8, 8, 5)"),
    bad("images as text", lambda w: from_dataset([("a.png", 0)]), "dataset[0]", "image", "'a.png'"),
    bad("items of two sizes", lambda w: from_dataset(
        [(torch.zeros(3, 8, 8), 0), (torch.zeros(3, 8, 9), 1)]), "one shape, (3, 8, 8)",
        "(3, 8, 9)", "size="),
    bad("more images than memory", lambda w: from_dataset(range_of(10**9)),
        "1,000,000,000 images", "bytes of memory", "a smaller size or a subset"),
    bad("a split of float labels", lambda w: Split(TRAIN.images, TRAIN.labels.float(), "abc"),
        "labels must be int64", "torch.float32", "labels.long()"),
    bad("a split of lists", lambda w: Split([[0]], [0], ("a", "b")), "images", "torch.Tensor",
        "list"),
    bad("a split of NumPy arrays", lambda w: Split(PIXELS, LABELS, ("a", "b", "c")), "images",
        "torch.Tensor", "ndarray", "torch.as_tensor"),
    bad("CUDA asked for and absent", lambda w: TRAIN.to("cuda"), "device", "'cuda'", "cpu",
        marks=NO_CUDA),
    bad("a device of no name", lambda w: TRAIN.to("gpu"), "device", "'gpu'", "cpu"),
]  # fmt: skip

BAD_BATCHES = [
    bad("a batch of nothing", lambda w: next(batches.shuffled(4, 0, torch.Generator())),
        "batch_size", "at least 1, got 0"),
    bad("class-balanced over float labels",
        lambda w: next(batches.class_balanced(torch.ones(4), 2, None)), "labels",
        "torch.float32", "labels.long()"),
    bad("class-balanced over labels below 0",
        lambda w: next(batches.class_balanced(torch.tensor([0, -1]), 2, None)), "labels", "-1"),
    bad("uniform without a class",
        lambda w: next(batches.class_balanced(torch.tensor([0, 2]), 2, torch.Generator())),
        "labels must have an image of every class", "[1]"),
    bad("class-balanced over no labels",
        lambda w: next(batches.class_balanced(torch.tensor([]).long(), 2, None)), "labels"),
    bad("float images as input", lambda w: batches.as_input(torch.zeros(2, 1, 8, 8)),
        "images must be uint8", "torch.float32"),
    bad("a list as input", lambda w: batches.as_input([0, 255]), "images", "torch.Tensor", "list"),
    bad("views of one image", lambda w: batches.augment(TRAIN.images[0], torch.Generator()),
        "images", "(B, c, h, w)", "(1, 8, 8)"),
    bad("a shift below 0", lambda w: batches.augment(TRAIN.images, None, shift=-1), "shift", "-1"),
    bad("an unknown padding", lambda w: batches.augment(TRAIN.images, None, padding="mirror"),
        "padding must be one of 'zero', 'reflect', got 'mirror'"),
    bad("a shift beyond the image",
        lambda w: batches.augment(TRAIN.images, torch.Generator(), shift=8, padding="reflect"),
        "shift must be less than the image's 8 pixels", "got 8"),
    bad("an unknown sampling",
        lambda w: batches.Views(TRAIN.images, TRAIN.labels, batch_size=2, seed=0, sampling="uni"),
        "sampling must be one of 'shuffled', 'class-balanced', got 'uni'"),
]  # fmt: skip

BAD_MODELS = [
    bad("a network with its dash forgotten", lambda w: net("cnn16"), "name must be", "'cnn16'",
        "did you mean 'cnn-16'?"),
    bad("a network misspelt", lambda w: net("restnet-20"), "'restnet-20'",
        "did you mean 'resnet-20'?"),
    bad("a ResNet of no such depth", lambda w: net("resnet-21"), "6n + 2", "got 21",
        "did you mean 'resnet-20'?"),
    bad("a network of one class", lambda w: net(num_classes=1), "num_classes", "at least 2, got 1"),
    bad("a network of no channels", lambda w: net(in_channels=0), "in_channels", "1, got 0"),
    bad("a name as the model", lambda w: models.predict("cnn-4", TRAIN.images), "model",
        "torch.nn.Module", "'cnn-4'", "rdlite.models.create"),
    bad("a model without weights", lambda w: models.predict(torch.nn.Flatten(), TRAIN.images),
        "model", "no weights"),
    bad("float images to predict", lambda w: models.predict(net(), TRAIN.images.float()),
        "images must be uint8", "torch.float32"),
    bad("images with other channels",
        lambda w: models.predict(net(in_channels=3), TRAIN.images), "model", "(1, 8, 8)"),
    bad("images too small", lambda w: models.predict(net(), TRAIN.images[..., :7]),
        "images must have at least 8 x 8 pixels", "got 7"),
    bad("a split of another kind", lambda w: predict(net(), TRAIN.images), "split", "Split",
        "Tensor"),
    bad("an average of nothing", lambda w: models.AveragedScorer([]), "scorers", "none"),
    bad("CUDA for a run", lambda w: Run(**TINY_RUN).create("cuda"), "device", "'cuda'", "cpu",
        marks=NO_CUDA),
]  # fmt: skip

BAD_OBJECTIVES = [
    bad("alpha above 1", lambda w: Objective(1.1), "alpha", "[0, 1]", "1.1"),
    bad("alpha below 0", lambda w: Objective(-0.1), "alpha", "[0, 1]", "-0.1"),
    bad("alpha of NaN", lambda w: Objective(NAN), "alpha", "[0, 1]", "nan"),
    bad("alpha as text", lambda w: Objective("0.5"), "alpha", "[0, 1]", "'0.5'"),
    bad("an anchor misspelt", lambda w: Objective(0, "balance"), "did you mean 'balanced'?"),
    bad("an anchor all zero", lambda w: Objective(0, [0, 0, 0]), "anchor", "positive sum", "[0.0"),
    bad("an anchor below 0", lambda w: Objective(0, [1, -1]), "anchor", "non-negative", "-1.0"),
    bad("a ragged anchor", lambda w: Objective(0, [[1, 2], [3]]), "anchor must be"),
    bad("an anchor with NaN", lambda w: Objective(0, [1, NAN]), "anchor must be finite"),
    bad("an anchor of another length", lambda w: Objective(0, [1, 1]).anchor_weights(ZEROS[0] + 1),
        "anchor must have one weight for each of 3 classes, got 2"),
    bad("an objective misspelt", lambda w: Objective.named("robsut"), "did you mean 'robust'?"),
    bad("targets of another shape", lambda w: class_risks(ZEROS, EYE[:2]), "targets", "(3, 3)",
        "(2, 3)"),
    bad("labels as targets", lambda w: margin_loss(ZEROS, torch.arange(3), ZEROS[0] + 1),
        "targets", "(3,)", "one_hot"),
    bad("negative targets", lambda w: class_risks(ZEROS, 2 * EYE - 1 / 3), "targets",
        "smallest entry of -0.333333", "softmax"),
    bad("unnormalised targets", lambda w: reweighted_loss(ZEROS, 2 * EYE, ZEROS[0] + 1), "targets",
        "off by 1", "softmax"),
    bad("NaN logits", lambda w: class_risks(ZEROS * NAN, EYE), "logits must be finite, got 9"),
    bad("infinite logits", lambda w: margin_loss(ZEROS - INF, EYE, ZEROS[0] + 1),
        "logits must be finite, got 9"),
    bad("logits so huge that differences overflow",
        lambda w: class_risks(torch.tensor([[3e38, -3e38]]), torch.tensor([[1.0, 0.0]])),
        "logits", "3e+38", "double()"),
    bad("whole numbers as logits", lambda w: class_risks(EYE.long(), EYE), "logits", "torch.int64",
        "logits.float()"),
    bad("a list as logits", lambda w: class_risks([[0.0, 0.0]], [[1.0, 0.0]]), "logits",
        "torch.Tensor", "list", "torch.as_tensor(logits)"),
    bad("an array as targets", lambda w: class_risks(ZEROS, np.eye(3)), "targets", "torch.Tensor",
        "ndarray", "torch.as_tensor(targets)"),
    bad("a batch of nothing to lose", lambda w: class_risks(ZEROS[:0], EYE[:0]), "logits",
        "B >= 1", "(0, 3)"),
    bad("one class to lose", lambda w: class_risks(ZEROS[:, :1], EYE[:, :1]), "m >= 2", "(3, 1)"),
    bad("class counts as the prior of a risk",
        lambda w: class_risks(ZEROS, EYE, torch.tensor([9.0, 2.0, 1.0])), "prior", "sum of 12",
        "divide by the sum"),
    bad("a prior with NaN", lambda w: class_risks(ZEROS, EYE, torch.tensor([NAN, 0.5, 0.5])),
        "prior must be finite"),
    bad("class weights of 0", lambda w: margin_loss(ZEROS, EYE, torch.tensor([1.0, 0.0, 1.0])),
        "class_weights", "above 0", "class 1"),
    bad("a list as prior", lambda w: ROBUST.class_weights(HALVES, [0.5, 0.5]),
        "prior must be a torch.Tensor"),
    bad("a class without prior", lambda w: ROBUST.class_weights(HALVES, torch.tensor([1.0, 0.0])),
        "prior", "above 0", "class 1"),
    bad("a prior too small to divide by",
        lambda w: ROBUST.class_weights(HALVES, torch.tensor([1.0, 1e-44])),
        "prior", "divide", "1e-44"),
    bad("a standard anchor without a prior",
        lambda w: STANDARD.value(torch.ones(2), torch.zeros(2)), "prior", "sum of 0"),
    bad("a standard anchor with a prior of NaN",
        lambda w: STANDARD.value(torch.ones(2), torch.tensor([NAN, 1.0])), "prior"),
    bad("the risk of a class without data", lambda w: BALANCED.value(HALVES * NAN, HALVES),
        "risks must be finite"),
]  # fmt: skip

BAD_MULTIPLIERS = [
    bad("risks of another length", lambda w: multipliers.hedge_step(HALVES, torch.ones(3), 1.0),
        "risks", "(2,)", "(3,)"),
    bad("risks of NaN", lambda w: multipliers.hedge_step(HALVES, HALVES * NAN, 1.0),
        "risks must be finite, got 2"),
    bad("multipliers off the simplex", lambda w: multipliers.hedge_step(HALVES + 1, HALVES, 1.0),
        "multipliers", "sum of 3", "divide by the sum"),
    bad("whole multipliers, which would round the risks",
        lambda w: multipliers.hedge_step(torch.tensor([1, 0]), HALVES, 1.0), "multipliers",
        "torch.int64", "multipliers.float()"),
    bad("risks as a list", lambda w: multipliers.hedge_step(HALVES, [0.5, 0.5], 1.0), "risks",
        "torch.Tensor", "list"),
    bad("a step size below 0", lambda w: multipliers.hedge_step(HALVES, HALVES, -1.0),
        "step_size", "[0, inf]", "-1.0"),
    bad("no rounds", lambda w: multipliers.guaranteed_step_size(2, 0, 1.0), "rounds", "1, got 0"),
    bad("one player", lambda w: multipliers.uniform(1), "num_classes", "at least 2, got 1"),
]  # fmt: skip

BAD_METRICS = [
    bad("float labels of an accuracy",
        lambda w: metrics.per_class_accuracy(torch.arange(2), torch.zeros(2), 2), "labels",
        "torch.float32", "labels.long()"),
    bad("predictions out of range",
        lambda w: metrics.per_class_accuracy(torch.tensor([0, 2]), torch.tensor([0, 1]), 2),
        "predictions", "0..1", "0..2"),
    bad("lists for an accuracy", lambda w: metrics.per_class_accuracy([0, 1], [0, 1], 2),
        "predictions", "torch.Tensor", "list"),
    bad("a list of labels of an accuracy",
        lambda w: metrics.per_class_accuracy(torch.arange(2), [0, 1], 2),
        "labels must be a torch.Tensor"),
    bad("a summary of a list", lambda w: metrics.summary([[1.0, 0.0]], torch.arange(1)),
        "logits must be a torch.Tensor"),
    bad("a summary against a list", lambda w: metrics.summary(ZEROS, [0, 1, 2]),
        "labels must be a torch.Tensor"),
    bad("a summary of no images", lambda w: metrics.summary(ZEROS[:0], torch.arange(0)), "n >= 1"),
    bad("a summary of NaN", lambda w: metrics.summary(ZEROS * NAN, torch.arange(3)),
        "logits must be finite, got 9"),
    bad("a summary of one class", lambda w: metrics.summary(ZEROS[:, :1], 0 * torch.arange(3)),
        "at least 2", "1"),
    bad("a seed below 0 for the bootstrap",
        lambda w: metrics.summary(ZEROS, torch.arange(3), bootstrap=9, seed=-1), "seed", "-1"),
    bad("more worst classes than classes",
        lambda w: metrics.summary(ZEROS, torch.arange(3), k=4), "k", "at most 3, got 4"),
    bad("calibration of logits", lambda w: metrics.class_calibration(ZEROS, torch.arange(3)),
        "probabilities", "softmax"),
    bad("calibration of a list", lambda w: metrics.class_calibration([[1.0, 0.0]], HALVES),
        "probabilities must be a torch.Tensor"),
    bad("calibration against a list", lambda w: metrics.class_calibration(EYE, [0, 1, 2]),
        "labels must be a torch.Tensor"),
    bad("calibration in no bins", lambda w: metrics.class_calibration(EYE, torch.arange(3), 0),
        "bins", "at least 1, got 0"),
    bad("a frontier of text", lambda w: metrics.pareto([["a", "b"]]), "points must be numbers"),
    bad("a frontier of percent", lambda w: metrics.hypervolume([[80.0, 10.0]]), "points", "0..1"),
    bad("an accuracy beyond 1", lambda w: metrics.smallest_of_equals(3, 1.5, 10), "truth",
        "[0, 1]", "1.5"),
]  # fmt: skip

BAD_TRAINING = [
    bad("0 epochs", lambda w: TrainConfig(epochs=0), "epochs", "at least 1, got 0"),
    bad("negative epochs", lambda w: TrainConfig(epochs=-3), "epochs", "at least 1, got -3"),
    bad("half an epoch", lambda w: TrainConfig(epochs=0.5), "epochs", "whole number", "0.5"),
    bad("epochs as truth", lambda w: TrainConfig(epochs=True), "epochs", "whole number", "True"),
    bad("a schedule misspelt", lambda w: TrainConfig(schedule="cosin"), "schedule",
        "did you mean 'cosine'?"),
    bad("a learning rate of NaN", lambda w: TrainConfig(learning_rate=NAN), "learning_rate", "nan"),
    bad("a payoff unknown", lambda w: TrainConfig(payoff="errors"), "payoff",
        "did you mean 'error'?"),
    bad("batch norms misspelt", lambda w: TrainConfig(batch_norm="measure"), "batch_norm",
        "did you mean 'measured'?"),
    bad("a precision unknown", lambda w: TrainConfig(precision="bfloat"), "precision",
        "did you mean 'bfloat16'?"),
    bad("a name as the objective", lambda w: train(objective="robust"), "objective", "Objective",
        "'robust'", "Objective.named"),
    bad("a name as the network", lambda w: train("cnn-4"), "model", "torch.nn.Module", "'cnn-4'"),
    bad("all splits for train", lambda w: train(split=SPLITS), "train", "Split", "Splits",
        "splits.train"),
    bad("a dict as the config", lambda w: train(config={"epochs": 3}), "config", "TrainConfig",
        "{'epochs': 3}"),
    bad("a class absent from train", lambda w: train(split=without(TRAIN, 1)),
        "train must have an image of every class, got none of [1]", "raise head"),
    bad("a class absent from held-out", lambda w: train(heldout=without(HELDOUT, 2)),
        "heldout must have an image of every class, got none of [2]", "raise head"),
    bad("one image to train on", lambda w: train(split=part(TRAIN, 1)),
        "train must have an image of every class, got none of [1, 2]"),
    bad("held-out images of fewer classes", lambda w: train(heldout=without(HELDOUT, 2, 2)),
        "heldout must have the 3 classes of train", "got 2 and"),
    bad("a network of other classes", lambda w: train(net(num_classes=4)),
        "model must give 3 logits, got 4"),
    bad("a network of other channels", lambda w: train(net(in_channels=3)), "model",
        "(1, 8, 8)"),
    bad("held-out images of other channels",
        lambda w: train(heldout=Split(HELDOUT.images.repeat(1, 3, 1, 1), HELDOUT.labels, "abc")),
        "heldout", "(1, 8, 8)", "(3, 8, 8)"),
    bad("batches of one image for batch norm",
        lambda w: train(config=TrainConfig(epochs=1, batch_size=1)), "batch_size", "at least 2"),
    bad("targets of another length", lambda w: train(targets=EYE), "targets", "(13, 3)", "(3, 3)"),
    bad("targets as an array", lambda w: train(targets=np.full((13, 3), 1 / 3)), "targets",
        "ndarray", "torch.as_tensor"),
    bad("targets of NaN", lambda w: train(targets=torch.full((13, 3), NAN)),
        "targets must be finite"),
    bad("negative targets of a teacher",
        lambda w: train(targets=torch.tensor([1.5, -0.5, 0.0]).repeat(13, 1)), "targets",
        "smallest entry of -0.5"),
    bad("a function that gives one class", lambda w: train(targets=lambda view: view[:, 0, 0, :1]),
        "targets", "(13, 3)", "(13, 1)"),
    bad("held-out labels for held-out targets", lambda w: train(heldout_targets=HELDOUT.labels),
        "heldout_targets", "(8, 3)", "(8,)"),
    bad("a mix beyond 1", lambda w: taught(mix=1.5), "mix", "[0, 1]", "1.5"),
    bad("a mix as text", lambda w: taught(mix="half"), "mix", "numbers", "half"),
    bad("a mix of another length", lambda w: taught(mix=torch.ones(2)), "mix", "3 of them"),
    bad("a name as the loss", lambda w: train(loss="margin"), "loss", "function", "'margin'",
        "config.loss"),
    bad("a path as the checkpoint", lambda w: train(checkpoint=w.folder / "c.pt"), "checkpoint",
        "Checkpoint(path=", f"a {type(PACKAGE).__name__}"),
    bad("a checkpoint of another kind", lambda w: Checkpoint(path=file_in(w.folder)).read(),
        "a file is not a checkpoint of rdlite", "delete it"),
    bad("a checkpoint where nothing can be written",
        lambda w: train(checkpoint=Checkpoint(path=file_in(w.folder) / "c.pt")), "a file",
        error=OSError),
]  # fmt: skip

BAD_DISTILLATION = [
    bad("a teacher with another number of classes", lambda w: taught(net(num_classes=5)),
        "teacher must give 3 logits, got 5"),
    bad("a teacher for other channels", lambda w: taught(net(in_channels=3)), "teacher",
        "(1, 8, 8)"),
    bad("a name as the teacher", lambda w: taught("cnn-16"), "teacher", "torch.nn.Module",
        "'cnn-16'"),
    bad("a name as the goal", lambda w: taught(objective="robust"), "objective", "Objective",
        "'robust'"),
    bad("one split to distil on", lambda w: taught(splits=TRAIN), "splits", "Splits", "Split"),
    bad("held-out labels misspelt", lambda w: taught(heldout_labels="one_hot"), "heldout_labels",
        "did you mean 'one-hot'?"),
    bad("a view misspelt", lambda w: taught(teacher_view="consistant"), "teacher_view",
        "did you mean 'consistent'?"),
    bad("a temperature of 0", lambda w: taught(temperature=0), "temperature", "(0, inf]", "0"),
    bad("a temperature below 0",
        lambda w: soft_targets(ZEROS, torch.arange(3), temperature=-1.0), "temperature", "-1.0"),
    bad("a temperature so small that logits overflow",
        lambda w: soft_targets(9 * EYE, torch.arange(3), temperature=1e-38), "temperature",
        "1e-38"),
    bad("views that do not divide the epochs", lambda w: taught(teacher_view="views", views=2),
        "views must divide the number of epochs, 1, got 2"),
    bad("a mix below 0", lambda w: soft_targets(ZEROS, torch.arange(3), mix=-0.1), "mix", "-0.1"),
    bad("float labels beside a teacher", lambda w: soft_targets(ZEROS, torch.zeros(3)), "labels",
        "torch.float32"),
    bad("labels beyond the teacher's classes", lambda w: soft_targets(ZEROS, torch.arange(3) + 1),
        "labels", "0..2", "1..3"),
    bad("NaN logits of a teacher", lambda w: soft_targets(ZEROS * NAN, torch.arange(3)),
        "teacher_logits must be finite"),
    bad("nothing held out",
        lambda w: taught(splits=dataclasses.replace(SPLITS, heldout=part(HELDOUT, 0))),
        "heldout must have an image of every class, got none of [0, 1, 2]"),
]  # fmt: skip

BAD_BASELINES = [
    bad("a group player of one class", lambda w: baselines.GroupDRO(1), "num_classes", "1"),
    bad("a group player that steps back", lambda w: baselines.GroupDRO(3, -1.0), "step_size", "-1"),
    bad("post-shifting one row", lambda w: baselines.post_shift(ZEROS[0], torch.arange(3)),
        "logits", "(n, m)", "(3,)"),
    bad("post-shifting NaN", lambda w: baselines.post_shift(ZEROS * NAN, torch.arange(3)),
        "logits must be finite"),
    bad("post-shifting float labels", lambda w: baselines.post_shift(ZEROS, torch.zeros(3)),
        "labels", "torch.float32"),
    bad("post-shifting labels out of range",
        lambda w: baselines.post_shift(ZEROS, torch.arange(3) + 1), "labels", "0..2", "1..3"),
    bad("post-shifting without a class",
        lambda w: baselines.post_shift(ZEROS, torch.tensor([0, 0, 1])), "labels", "class 2"),
    bad("margins of labels out of range",
        lambda w: baselines.teacher_margins(EYE, torch.arange(3) - 1), "labels", "0..2", "-1..1"),
    bad("margins of logits", lambda w: baselines.teacher_margins(ZEROS, torch.arange(3)),
        "probabilities", "softmax"),
    bad("margins of another length",
        lambda w: losses.adaptive_margin_loss(ZEROS, EYE, torch.zeros(2)), "margins", "(3,)"),
    bad("targets of another length for margins",
        lambda w: losses.adaptive_margin_loss(ZEROS, EYE[:2], torch.zeros(3)), "targets"),
    bad("a shift of another length", lambda w: baselines.ShiftedScorer(net(), 0.5), "shift",
        "torch.Tensor", "float"),
    bad("AdaAlpha with a teacher of other classes",
        lambda w: baselines.ada_alpha(net(), SPLITS, teacher=net(num_classes=2), config=SHORT),
        "teacher must give 3 logits, got 2"),
    bad("AdaMargin with no teacher",
        lambda w: baselines.ada_margin(net(), SPLITS, teacher=None, config=SHORT), "teacher",
        "torch.nn.Module", "None"),
    bad("group DRO on a class without images",
        lambda w: baselines.group_dro(
            net(), dataclasses.replace(SPLITS, train=without(TRAIN, 0)), config=SHORT),
        "train must have an image of every class, got none of [0]"),
    bad("BKD with no teacher",
        lambda w: baselines.bkd(net(), SPLITS, teacher=None, config=SHORT), "teacher",
        "torch.nn.Module", "None"),
    bad("LTKD at temperature 0",
        lambda w: baselines.ltkd(net(), SPLITS, teacher=net(), temperature=0, config=SHORT),
        "temperature", "(0, inf]"),
    bad("BKD of a class without images", lambda w: losses.BKD(torch.tensor([3, 0, 1])), "counts",
        "class 1"),
    bad("more groups than classes", lambda w: losses.LTKD(torch.tensor([3, 1]), groups=3),
        "groups", "at most 2, got 3"),
]  # fmt: skip

BAD_THEORY = [
    bad("weights off the simplex", lambda w: Population([0.5, 0.6], EYE[:2, :2]), "weights",
        "sum of 1.1"),
    bad("text as weights", lambda w: Population("ab", EYE), "weights must be numbers"),
    bad("a population of no points", lambda w: Population([], torch.zeros(0, 2)), "eta", "n >= 1",
        "(0, 2)"),
    bad("text as a teacher", lambda w: POPULATION.class_risks(EYE[:2, :2], "p"),
        "targets must be numbers"),
    bad("text as eta", lambda w: Population([1.0], [["a", "b"]]), "eta", "numbers"),
    bad("ragged rows as eta", lambda w: Population([0.5, 0.5], [[1.0, 0.0], [1.0]]), "eta",
        "numbers"),
    bad("a population of one class", lambda w: Population.random(5, 1), "m ", "at least 2, got 1"),
    bad("a class without mass", lambda w: Population([1.0], [[1.0, 0.0]]), "eta", "class 1"),
    bad("a scorer of another shape", lambda w: POPULATION.class_risks(ZEROS), "scorer", "(2, 2)"),
    bad("a name to solve", lambda w: POPULATION.solve("robust"), "objective", "'robust'",
        "ROBUST"),
    bad("an anchor of three for two classes",
        lambda w: POPULATION.solve(Objective(0.5, [1, 1, 1])), "anchor", "2 classes, got 3"),
    bad("a bound below log m", lambda w: POPULATION.solve(ROBUST, loss_bound=0.5), "loss_bound"),
    bad("a teacher off the simplex", lambda w: POPULATION.teacher_gap(torch.ones(2, 2)), "p ",
        "softmax"),
    bad("a curve of no rounds", lambda w: theory.hedge_curve(POPULATION, ROBUST, 0), "rounds"),
    bad("a curve of no population", lambda w: theory.hedge_curve(HALVES, ROBUST, 3),
        "population must", "Population", "tensor(["),
    bad("a bound on the loss beyond float64",
        lambda w: POPULATION.solve(ROBUST, loss_bound=300.5), "loss_bound must", "300.5"),
    bad("ragged scores", lambda w: POPULATION.class_risks([[1.0, 2.0], [3.0]]), "scorer must be"),
    bad("ragged class weights", lambda w: POPULATION.bayes([[1.0, 2.0], [3.0]]),
        "class_weights must be"),
    bad("ragged probabilities", lambda w: theory.temper([[1.0, 0.0], [1.0]], 2.0), "p must be"),
    bad("a bias of text", lambda w: theory.bias(EYE, ["a", "b", "c"]), "class_weights must be"),
    bad("a temperature of 0 for a distortion", lambda w: theory.temper(EYE, 0), "temperature"),
    bad("a temperature so small that all is NaN",
        lambda w: theory.temper(torch.full((1, 2), 0.5), 1e-320), "temperature"),
    bad("noise so large that all is NaN", lambda w: theory.add_noise(EYE, 1e308), "scale"),
    bad("a distortion misspelt", lambda w: distort(EYE, EYE[0], "temprature", 1.0), "kind",
        "did you mean 'temperature'?"),
    bad("a strength that overflows", lambda w: distort(EYE, EYE[0], "temperature", 1e4),
        "strength", "10000"),
    bad("a strength of NaN", lambda w: distort(EYE, EYE[0], "rare", NAN), "strength", "nan"),
    bad("a strength too large", lambda w: distort(EYE, EYE[0], "rare", 100.5), "strength must"),
    bad("a strength below 0", lambda w: distort(EYE, EYE[0], "rare", -0.5), "strength must"),
    bad("a prior of another length", lambda w: distort(EYE, HALVES, "rare", 1.0), "prior must",
        "(3,)"),
    bad("a mixture in space", lambda w: GaussianMixture([[0.0] * 3] * 2, [1, 1], [0.5, 0.5]),
        "means", "(m, 2)", "(2, 3)"),
    bad("a mixture so narrow that all is NaN",
        lambda w: GaussianMixture([[0.0, 0.0], [1.0, 0.0]], [1e-200, 1.0], [0.5, 0.5]), "scale",
        "class 0"),
    bad("points so far that all is NaN", lambda w: MIXTURE.eta([[1e200, 0.0]]), "points"),
    bad("points of NaN", lambda w: MIXTURE.eta([[NAN, 0.0]]), "points must be finite"),
    bad("a grid of one cell", lambda w: MIXTURE.on_grid(1), "resolution", "at least 2, got 1"),
    bad("alphas out of range", lambda w: learn(alphas=[0.5, 2.0]), "alpha", "[0, 1]", "2.0"),
    bad("one number as the alphas", lambda w: learn(alphas=0.5), "alphas", "0.5", "list"),
    bad("points as a list", lambda w: learn(points=[[0.0, 1.0]]), "points", "torch.Tensor"),
    bad("labels as targets of students", lambda w: learn(targets=torch.arange(3)), "targets",
        "(3,)"),
    bad("held-out targets of other classes", lambda w: learn(heldout_targets=EYE[:, :2]),
        "heldout_targets", "(3, 3)"),
]  # fmt: skip

BAD_STUDIES = [
    bad("a run of an unknown method", lambda w: Run(**TINY_RUN, method="group-drow"), "method",
        "did you mean 'group-dro'?"),
    bad("a run that needs a teacher", lambda w: Run(**TINY_RUN, method="ada-alpha"), "teacher",
        "'ada-alpha'"),
    bad("a run of labels with a teacher",
        lambda w: Run(**TINY_RUN, method="group-dro", teacher=Run(**TINY_RUN)), "teacher",
        "'group-dro'"),
    bad("a run of an unknown data set", lambda w: Run(**TINY_RUN, dataset="cifar-10"), "dataset",
        "did you mean 'cifar10'?"),
    bad("a run of a name as the objective", lambda w: Run(**TINY_RUN, objective="robust"),
        "objective", "'robust'", "Objective.named"),
    bad("a run with a network as its teacher", lambda w: Run(**TINY_RUN, teacher=net()), "teacher",
        "Run"),
    bad("a run with a mix beyond 1", lambda w: Run(**TINY_RUN, mix=1.5), "mix", "[0, 1]", "1.5"),
    bad("a run without its teacher",
        lambda w: Run(**TINY_RUN, teacher=Run(**TINY_RUN)).train(), "teacher", "None"),
    bad("a run on CUDA", lambda w: Run(**TINY_RUN).train(device="cuda"), "device", "'cuda'",
        "cpu", marks=NO_CUDA),
    bad("a grid on CUDA", lambda w: studies.run_grid(GridSpec(seed=0, device="cuda")),
        "device", "'cuda'", "cpu", marks=NO_CUDA),
    bad("a file's name as the spec", lambda w: studies.run_grid("study.toml"), "spec",
        "GridSpec", "'study.toml'", "from_file"),
    bad("a number as the executor", lambda w: studies.run_grid(GridSpec(seed=0), executor=2),
        "executor", "joblib.Parallel", "2"),
    bad("a store where nothing can be written", lambda w: Store(file_in(w.folder) / "store"),
        "store", "a file", error=OSError),
    bad("a store that is a file",
        lambda w: studies.run_grid(GridSpec(seed=0), store=file_in(w.folder)), "store",
        "a file", "folder", error=OSError),
    bad("a store on a full disk",
        lambda w: on_a_full_disk(lambda: Store(w.folder).finish(Run(**TINY_RUN))),
        "File too large", error=OSError),
    bad("a card that is no card", lambda w: damaged_store(w.folder, ".json", b'{"result": '),
        ".json", "is not a card of rdlite", "delete it"),
    bad("a card without a result", lambda w: damaged_store(w.folder, ".json", b"[]"),
        ".json", "is not a card of rdlite", "delete it"),
    bad("weights that are no weights",
        lambda w: damaged_store(w.folder, ".safetensors", b"\x80\x04N."), ".safetensors",
        "delete it"),
    bad("checkpoints every 0 rounds",
        lambda w: studies.train(GridSpec(seed=0), w.folder, every=0), "every", "1, got 0"),
    bad("a grid without networks", lambda w: GridSpec(student_network=[]), "student_network",
        "not empty"),
    bad("a grid of a network misspelt", lambda w: GridSpec(teacher_network="cnn16"),
        "teacher_network", "did you mean 'cnn-16'?"),
    bad("a grid of a data set misspelt", lambda w: GridSpec(dataset="digit"), "dataset",
        "did you mean 'digits'?"),
    bad("a grid of a config", lambda w: GridSpec(config={"epochs": 1}), "a key of spec",
        "'config'"),
    bad("a grid of a dict", lambda w: GridSpec(epochs={"epochs": 1}), "epochs", "whole number"),
    bad("a grid of tables that are none", lambda w: GridSpec(grid=[3]), "grid", "tables", "[3]"),
    bad("a grid of a key twice", lambda w: GridSpec(**{"head": 20, "head, heldout": [[20, 4]]}),
        "head", "twice"),
    bad("a grid of half a pair",
        lambda w: GridSpec(grid=[{"head": 20}], **{"head, heldout": [[20, 4]]}), "head, heldout",
        "go together"),
    bad("a grid of no run", lambda w: GridSpec(teacher="none", method="ada-alpha"), "method",
        "teacher knows"),
    bad("a run of smoothed labels with a teacher",
        lambda w: Run(**TINY_RUN, teacher=Run(**TINY_RUN), smoothing=0.1), "smoothing", "0.1"),
    bad("a run on held-out images that it needs",
        lambda w: Run(**TINY_RUN, objective=ROBUST, add_heldout=True), "add_heldout", "held-out"),
    bad("a run of negative selection images", lambda w: Run(**TINY_RUN, selection=-1), "selection",
        "at least 0, got -1"),
    bad("a grid of a mix beyond 1", lambda w: GridSpec(mix=2), "mix", "[0, 1]", "2"),
    bad("a recipe misspelt", lambda w: recipe("cifar10-ltt"), "'cifar10-ltt'",
        "did you mean 'cifar10-lt'?"),
    bad("a folder as the spec", lambda w: GridSpec.from_file(w.folder), str, error=OSError),
    bad("the cost of no processes", lambda w: cost.of_study([], 0), "processes", "1, got 0"),
    bad("the cost of a network misspelt", lambda w: cost.step_seconds("cn-4", (2, 1, 8, 8), 3),
        "did you mean 'cnn-4'?"),
]  # fmt: skip

BAD_RESULTS = [
    bad("a study misspelt", lambda w: results.read("softnes"), "'softnes'",
        "did you mean 'softness'?", error=OSError),
    bad("a folder without a study", lambda w: results.read(w.folder), "runs.csv", error=OSError),
    bad("an empty table", lambda w: damaged_study(w.folder, "runs.csv", ""), "runs.csv",
        "is not a table of rdlite"),
    bad("a table of something else", lambda w: damaged_study(w.folder, "runs.csv", "a,b\n1,2\n"),
        "runs.csv", "is not a table of rdlite"),
    bad("an about.json cut short", lambda w: damaged_study(w.folder, "about.json", '{"class_na'),
        "about.json"),
    bad("an about.json of something else", lambda w: damaged_study(w.folder, "about.json", "[]"),
        "about.json"),
    bad("a spec of something else", lambda w: damaged_study(w.folder, "spec.toml", "a = 1"),
        "a key of spec", "'a'"),
    bad("a table to be written that has no runs",
        lambda w: results.write(w.folder, w.spec(), pd.DataFrame({"a": [1]})), "table",
        "rdlite.studies.table.frame"),
    bad("a table to be written to a file",
        lambda w: results.write(file_in(w.folder), w.spec(), table.frame([], None)), "folder",
        "a file", error=OSError),
    bad("a report of a folder's name", lambda w: report.write("softness", w.folder), "results",
        "Results", "'softness'", "rdlite.studies.results.read"),
    bad("a report to a file", lambda w: report.write(reported(rows_of_a_study()),
        file_in(w.folder)), "out", "a file", error=OSError),
    bad("a report below /proc", lambda w: report.write(reported(rows_of_a_study()), "/proc/page"),
        "out", "/proc/page", error=OSError),
    bad("a report on a full disk",
        lambda w: on_a_full_disk(lambda: report.write(reported(rows_of_a_study()), w.folder)),
        "File too large", error=OSError),
    bad("a demo to a file",
        lambda w: demo.train_and_write(GridSpec(seed=0), file_in(w.folder)), "out",
        "a file", error=OSError),
    bad("a comparison of a table", lambda w: comparison.Comparison(rows_of_a_study()), "study",
        "Results", "DataFrame"),
    bad("a comparison with a seed missing",
        lambda w: comparison.Comparison(reported(rows_of_a_study().iloc[1:])), "table",
        "every run of the spec", "is the study finished?"),
    bad("a method misspelt", lambda w: w.task().lead("group dro"), "did you mean 'group DRO'?"),
    bad("the frontier of a teacher misspelt", lambda w: w.task().frontier("standrad"), "teacher",
        "did you mean 'standard'?"),
    bad("a rival misspelt", lambda w: claims.domination(w.task(), "ada alpha"), "name",
        "AdaAlpha"),
    bad("an interval of nothing", lambda w: comparison.Estimate.of(np.array([])), "values",
        "(0,)"),
    bad("an interval of NaN", lambda w: comparison.Estimate.of(np.array([NAN, 1.0])), "values",
        "finite"),
]  # fmt: skip

BAD_PANELS = [
    bad("a control misspelt", lambda w: set_state(TeacherPanel(), strenght=1.0), "state",
        "did you mean 'strength'?"),
    bad("a choice misspelt", lambda w: set_state(plane_panel(), teacher="rar"), "teacher",
        "did you mean 'rare'?"),
    bad("a slider out of range", lambda w: set_state(plane_panel(), alpha=1.1), "alpha", "[0, 1]"),
    bad("a state that is no dict", lambda w: setattr(TeacherPanel(), "state", 1.0), "state",
        "dict", "1.0"),
    bad("weights of a class unknown", lambda w: set_state(weight_panel(), d=0.5), "state", "'d'"),
    bad("a preset misspelt", lambda w: weight_panel().choose("unifrom"), "preset",
        "did you mean 'uniform'?"),
    bad("logits of NaN in a panel", lambda w: weight_panel(logits=torch.full((6, 3), NAN)),
        "logits must be finite"),
    bad("float labels in a panel", lambda w: weight_panel(labels=torch.arange(6) % 3 / 1),
        "labels", "torch.float32"),
    bad("text as logits in a panel", lambda w: weight_panel(logits=[["a", "b", "c"]]), "logits",
        "numbers"),
    bad("learned weights below 0 in a panel", lambda w: weight_panel(learned=[1.0, -1.0, 1.0]),
        "learned", "above 0", "class 1"),
    bad("a class without images in a panel", lambda w: weight_panel(labels=torch.arange(6) % 2),
        "labels must have an image of every class"),
    bad("a panel of a study misspelt", lambda w: TradeoffPanel("softnes"),
        "did you mean 'softness'?", error=OSError),
    bad("bars of other classes", lambda w: plots.class_bars({"a": [[0.1, 0.2]]}, ["b"]),
        "accuracies must have 1 classes, got 2"),
    bad("curves of other classes",
        lambda w: plots.class_curves(np.ones((4, 2)), ["a"], ylabel="risk"), "values", "(K, 1)",
        "(4, 2)"),
    bad("a panel of a table", lambda w: TradeoffPanel(rows_of_a_study()), "study", "Results"),
]  # fmt: skip

TABLE = [
    *(BAD_DATA + BAD_BATCHES + BAD_MODELS + BAD_OBJECTIVES + BAD_MULTIPLIERS + BAD_METRICS),
    *(BAD_TRAINING + BAD_DISTILLATION + BAD_BASELINES + BAD_THEORY + BAD_STUDIES),
    *(BAD_RESULTS + BAD_PANELS),
]


@pytest.fixture
def world(tmp_path):
    """What a call may need: a folder, the file of a small study, and a comparison."""
    spec_file = tmp_path / "small.toml"
    spec_file.write_text(SPEC)
    folder = tmp_path / "folder"
    folder.mkdir()
    return SimpleNamespace(
        folder=folder,
        spec=lambda: spec_file,
        task=lambda: comparison.Comparison(reported(rows_of_a_study())),
    )


def found(word, message):
    """Whether the message has the words, not as a part of other ones."""
    before, after = (r"\b" if re.match(r"\w", end) else "" for end in (word[0], word[-1]))
    return re.search(before + re.escape(word) + after, message) is not None


def last_file(error):
    """The file of the frame that raised."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(last.filename)


@pytest.mark.parametrize("row", TABLE)
def test_a_bad_call_is_named_with_what_came_and_what_would_do(row, world):
    with pytest.raises((ValueError, OSError)) as caught:
        row.call(world)
    error = caught.value
    assert isinstance(error, row.error)
    message = str(error)
    words = [str(world.folder) if word is str else word for word in row.words]
    assert [word for word in words if not found(word, message)] == [], message
    of_the_system = isinstance(error, OSError) and error.errno is not None
    assert of_the_system or PACKAGE in last_file(error).parents, f"raised in {last_file(error)}"
    assert TORCH not in "".join(traceback.format_exception(error)), "no stack of torch's own"
    assert "\n" not in message.strip()


def test_the_table_is_long_and_every_module_is_in_it():
    assert len(TABLE) >= 80
    assert len({row.values[0].name for row in TABLE}) == len(TABLE)


def test_numbers_of_numpy_are_numbers(world):
    """What a loop over np.arange gives is taken, and names the same run."""
    one, half = np.int64(1), np.float32(0.5)
    plain = Run(**TINY_RUN | {"config": TrainConfig(epochs=1)}, objective=Objective(0.5), seed=1)
    config = TrainConfig(epochs=one, batch_size=np.int32(128))
    same = Run(**TINY_RUN | {"config": config}, objective=Objective(half), seed=one)
    assert same == plain and same.key == plain.key
    assert Store(world.folder).finish(same)


# ---------------------------------------------------------------- spec files

SPEC = """\
imbalance = 2
head = 20
heldout = 4
size = 14
teacher_network = "linear"
student_network = "linear"
teacher = "none"
student = "standard"
seed = 0
epochs = 1
batch_size = 16
"""

BAD_SPECS = [
    ("imbalance = 2", "imbalanc = 2", ("a key of spec", "did you mean 'imbalance'?")),
    ("epochs = 1", "epoch = 1", ("a key of spec", "did you mean 'epochs'?")),
    ("epochs = 1", "epochs = 0", ("epochs", "at least 1, got 0")),
    ("epochs = 1", "epochs = -2", ("epochs", "at least 1, got -2")),
    ("epochs = 1", "epochs = true", ("epochs", "whole number", "True")),
    ("epochs = 1", 'epochs = 1\nschedule = "cosin"', ("schedule", "did you mean 'cosine'?")),
    ("batch_size = 16", "batch_size = 1.5", ("batch_size", "whole number", "1.5")),
    ("imbalance = 2", "imbalance = 0.1", ("imbalance", "[1, inf]", "0.1")),
    ("imbalance = 2", "imbalance = nan", ("imbalance", "nan")),
    ("imbalance = 2", 'imbalance = "two"', ("imbalance", "'two'")),
    ("imbalance = 2", "imbalance =", ("is not a TOML file",)),
    ("head = 20", "head = 0", ("head", "at least 1, got 0")),
    ("head = 20", "head = 1000000", ("head and heldout ask for 1000000 + 4", "lower head")),
    ("heldout = 4", "heldout = -4", ("heldout", "at least 0, got -4")),
    ("heldout = 4", "heldout = 0", ("heldout must have an image of every class", "raise head")),
    ("size = 14", "size = 29", ("size", "at most 28, got 29")),
    ("head = 20", 'dataset = "fashion"', ("dataset", "did you mean 'fashion-mnist'?")),
    ('student_network = "linear"', 'student_network = ["linear", "liner"]',
     ("student_network", "did you mean 'linear'?")),
    ('"none"', '["standart"]', ("teacher's objective", "did you mean 'standard'?")),
    ('"none"', "[]", ("teacher must be a value or a list that is not empty",)),
    ('"standard"', "[1.5]", ("student's alpha", "[0, 1]", "1.5")),
    ("seed = 0\n", "seed = [-1]\n", ("seed", "at least 0", "-1")),
    ("seed = 0\n", 'seed = 0\nmethod = ["logit-adjust"]\n', ("did you mean 'logit-adjusted'?",)),
    ("seed = 0\n", "seed = 0\ntemperature = [0.0]\n", ("temperature", "(0, inf]", "0")),
    ("seed = 0\n", "seed = 0\nmix = -1\n", ("mix", "[0, 1]", "-1")),
    ("seed = 0\n", "seed = 0\ngrid = [{ hed = 3 }]\n",
     ("table 1 of grid", "a key of spec", "did you mean 'head'?")),
    ("seed = 0\n", 'seed = 0\nheldout_labels = ["one"]\n', ("heldout_labels", "'one'")),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "words"), BAD_SPECS, ids=[new for _, new, _ in BAD_SPECS])
def test_a_bad_spec_file_exits_2_and_names_its_key(world, capsys, old, new, words):
    assert old in SPEC
    world.spec().write_text(SPEC.replace(old, new, 1))
    assert cli.main(["train", str(world.spec()), "--store", str(world.folder / "store")]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("rdlite: ") and shown.count("\n") == 1
    assert [word for word in words if word not in shown] == [], shown


def test_the_spec_of_these_tests_is_a_good_one(world, capsys):
    assert cli.main(["train", str(world.spec()), "--store", str(world.folder / "store")]) == 0


# ---------------------------------------------------------------- the command line

BAD_COMMANDS = [
    ("no command", [], ("Missing command", "COMMAND is one of demo, train, study")),
    ("a command misspelt", ["studdy"], ("command 'studdy'", "Did you mean 'study'?", "COMMAND")),
    ("a command of no name", ["xyz"], ("command 'xyz'", "COMMAND is one of demo, train, study")),
    ("an option misspelt", ["demo", "--sedes", "3"], ("option: --sedes", "options: --seeds)")),
    ("an option without its value", ["demo", "--seeds"], ("'--seeds' requires an argument",)),
    ("an argument too many", ["report", "a", "b"], ("unexpected", "(b)")),
    ("seeds as text", ["demo", "--seeds", "three"], ("--seeds", "'three'")),
    ("no seeds", ["demo", "--seeds", "0"], ("--seeds", "at least 1, got 0")),
    ("imbalance below 1", ["demo", "--imbalance", "0.5"], ("imbalance", "[1, inf]", "0.5")),
    ("imbalance of NaN", ["demo", "--imbalance", "nan"], ("imbalance", "nan")),
    ("a device of no name", ["demo", "--device", "gpu"], ("--device", "'gpu'", "--device cpu")),
    ("a device without numbers", ["demo", "--device", "meta"], ("--device", "'meta'")),
    ("a demo to a file", ["demo", "--quick", "--out", "FILE"], ("out", "a file", "folder")),
    ("a recipe misspelt", ["train", "cifar10-tl"], ("'cifar10-tl'", "'cifar10-lt'?")),
    ("a folder as the recipe", ["train", "FOLDER"], ("a recipe must be a TOML file",)),
    ("no rounds between checkpoints", ["train", "SPEC", "--store", "STORE", "--every", "0"],
     ("every", "at least 1, got 0")),
    ("a store that is a file", ["train", "SPEC", "--store", "FILE"], ("store", "a file")),
    ("a study without a store", ["study", "SPEC"], ("--store",)),
    ("a study that is not there", ["study", "no.toml", "--store", "STORE"], ("'no.toml'",)),
    ("a study of an image", ["study", "FILE", "--store", "STORE"], ("is not a TOML file",)),
    ("a study stored in a file", ["study", "SPEC", "--store", "FILE"], ("store", "a file")),
    ("a table to a file", ["study", "SPEC", "--store", "STORE", "--out", "FILE"],
     ("folder", "a file")),
    ("a report of no study", ["report", "softnes"], ("'softnes'", "did you mean 'softness'?")),
    ("a report to a file", ["report", "comparison", "--out", "FILE"], ("out", "a file")),
    ("a report below /proc", ["report", "comparison", "--out", "/proc/page"], ("/proc/page",)),
    ("a report into /proc", ["report", "comparison", "--out", "/proc"], ("out", "'/proc'")),
    ("a report to a device", ["report", "comparison", "--out", "/dev/full"], ("out", "/dev/full")),
]  # fmt: skip


def run(arguments, world):
    """The exit code of a command; FILE and the like stand for what is in the folder."""
    places = {
        "FILE": file_in(world.folder, b"\x89PNG"),
        "FOLDER": world.folder,
        "SPEC": world.spec(),
        "STORE": world.folder / "store",
    }
    return cli.main([str(places.get(word, word)) for word in arguments])


@pytest.mark.parametrize(
    ("arguments", "words"), [row[1:] for row in BAD_COMMANDS], ids=[row[0] for row in BAD_COMMANDS]
)
def test_a_bad_command_exits_2_and_says_why(world, capsys, arguments, words):
    assert run(arguments, world) == 2
    shown = capsys.readouterr().err
    assert [word for word in words if word not in shown] == [], shown
    assert shown.startswith("rdlite: ") and "Traceback" not in shown


@NO_CUDA
@pytest.mark.parametrize("command", [["demo"], ["train", "SPEC"], ["study", "SPEC"]])
def test_cuda_asked_for_and_absent_exits_2(world, capsys, command):
    store = [] if command == ["demo"] else ["--store", "STORE"]
    assert run([*command, *store, "--device", "cuda"], world) == 2
    shown = capsys.readouterr().err
    assert "'cuda'" in shown and "--device cpu" in shown and shown.count("\n") == 1
