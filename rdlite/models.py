"""Networks by name. All take float inputs (B, c, h, w) in -1..1 and give logits (B, m).

linear        logistic regression on the image averaged to 14 x 14 pixels
mlp-W         one hidden layer of W units on the same pixels
cnn-W         four 3x3 convolutions of W, 2W, 2W, 4W channels with batch norm; 8 pixels or more
resnet-N      the CIFAR ResNet of He et al. (2016), arXiv:1512.03385, option A, N = 6n + 2
resnet-18     torchvision's, with a 3x3 stem of stride 1 and no max pooling, for 64 pixels
"""

from __future__ import annotations

import contextlib
import copy
import re
from collections.abc import Iterable, Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rdlite.data.batches import as_input
from rdlite.guards import checks

FLAT_SIZE = 14  # pixels a side that the linear model and the MLP see
PIXELS_IN_CACHE = 2**17  # of a batch: what a CPU makes of them stays near it, 2.5 times as fast


def create(name: str, *, num_classes: int, in_channels: int = 3, seed: int = 0) -> nn.Module:
    """The network called ``name`` with weights drawn from ``seed``.

    Args:
        name: ``"linear"``, ``"mlp-128"``, ``"cnn-4"``, ``"resnet-20"``, ... (see the module).
        num_classes: m, the number of logits.
        in_channels: 1 for grey images, 3 for colour.
        seed: of the initial weights; the global random state is left as it was.

    Raises:
        ValueError: an unknown name, or a ResNet depth that is not 6n + 2.

    >>> net = create("cnn-4", num_classes=10, in_channels=1)
    >>> net(torch.zeros(2, 1, 14, 14)).shape
    torch.Size([2, 10])
    """
    checks.integer("num_classes", num_classes, low=2)
    checks.integer("in_channels", in_channels, low=1)
    checks.integer("seed", seed, low=0)
    family, number = check_name("name", name)
    maker = MAKERS.get(name, MAKERS[family])
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would touch CUDA's too
        return maker(number, num_classes, in_channels)


def check_name(argument: str, name: object) -> tuple[str, int]:
    """``name`` is one that `create` knows, up to a ResNet's depth; its family and its number."""
    found = re.fullmatch(r"(linear)|(mlp|cnn|resnet)-([1-9]\d{0,4})", str(name))
    number = next(iter(re.findall(r"[1-9]\d*", str(name))), "16")
    hint = checks.nearest(name, ["linear", f"mlp-{number}", f"cnn-{number}", f"resnet-{number}"])
    with_number = "'mlp-W', 'cnn-W' or 'resnet-N' with a number, such as 'cnn-16' or 'resnet-20'"
    checks.expect(found is not None, argument, f"be 'linear', {with_number}", repr(name), hint)
    return found[1] or found[2], int(found[3] or 0)


def predict(
    model: nn.Module, images: Tensor, *, batch_size: int | None = None, name: str = "model"
) -> Tensor:
    """Logits (n, m) of uint8 ``images``, in eval mode and without a gradient.

    They lie on the device of the model; its training mode is left as it was.

    Args:
        batch_size: images at a time; by default 1024, and fewer on a CPU where they are large.
        name: what messages call the model.

    Raises:
        ValueError: images that are not uint8 or not what the model takes; no tensor comes out.

    >>> predict(create("linear", num_classes=3), torch.zeros(5, 3, 14, 14).byte()).shape
    torch.Size([5, 3])
    """
    checks.tensor("images", images)
    device = device_of(model, name)
    if batch_size is None:
        fitting = PIXELS_IN_CACHE // max(1, images[:1, :1].numel())
        batch_size = max(1, min(fitting, 1024)) if device.type == "cpu" else 1024
    checks.integer("batch_size", batch_size, low=1)
    try:
        with evaluating(model):
            parts = [model(as_input(part.to(device))) for part in images.split(batch_size)]
    except torch.cuda.OutOfMemoryError:
        raise
    except ValueError as error:  # a check within the network, without the stack of its layers
        raise ValueError(str(error)) from None
    except RuntimeError as error:  # the layers' own words, without their stack
        dtype, hint = next(model.parameters()).dtype, "was it made for as many channels?"
        if dtype != torch.float32:
            hint = f"its weights are {dtype}, inputs are torch.float32; use {name}.float()"
        raise ValueError(
            f"{name} must take images of shape {tuple(images.shape[1:])}, got an error "
            f"({str(error).splitlines()[0]}); {hint}"
        ) from None
    came = type(parts[0]).__name__
    checks.expect(came == "Tensor", name, "give one tensor of logits", f"a {came}; wrap it")
    return torch.cat(parts)


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Eval mode without a gradient in the block; then every part is in the mode it was in."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def check(name: str, model: nn.Module, images: Tensor, num_classes: int) -> None:
    """``model`` is a network that turns such images into m logits; the first image is tried."""
    shape = tuple(predict(model, images[:1], name=name).shape[1:])
    got = ", ".join(map(str, shape)) or 1
    checks.expect(shape == (num_classes,), name, f"give {num_classes} logits", got)


def device_of(model: nn.Module, name: str = "model") -> torch.device:
    """Where the parameters lie; a ValueError with the argument's ``name`` if there are none."""
    checks.instance(name, model, nn.Module, "; see rdlite.models.create")
    first = next(model.parameters(), None)
    checks.require(first is not None, f"{name} has no weights, so nothing says on which device")
    return first.device


def parameter_count(model: nn.Module) -> int:
    """Number of trained weights.

    >>> parameter_count(create("cnn-4", num_classes=10, in_channels=1))
    2294
    """
    return sum(p.numel() for p in model.parameters())


class AveragedScorer(nn.Module):
    """The average of the K scorers that eq. (9) speaks of: the mean of their logits."""

    def __init__(self, scorers: Iterable[nn.Module]) -> None:
        super().__init__()
        self.scorers = nn.ModuleList(scorers)
        checks.require(len(self.scorers) >= 1, "scorers must hold at least one network, got none")

    @classmethod
    def of(cls, model: nn.Module, snapshots: Iterable[dict]) -> AveragedScorer:
        """Copies of ``model``, each with the weights of one of the ``snapshots``."""
        scorers = []
        for weights in snapshots:
            scorers.append(copy.deepcopy(model).eval())
            scorers[-1].load_state_dict(weights)
        return cls(scorers)

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.stack([scorer(inputs) for scorer in self.scorers]).mean(0)


def _mlp(width: int, num_classes: int, in_channels: int) -> nn.Module:
    """Without a hidden layer if the width is 0."""
    pixels = nn.Sequential(nn.AdaptiveAvgPool2d(FLAT_SIZE), nn.Flatten())
    inputs = in_channels * FLAT_SIZE**2
    hidden = [nn.Linear(inputs, width), nn.ReLU()] if width else []
    return nn.Sequential(pixels, *hidden, nn.Linear(width or inputs, num_classes))


def _conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)


def _head(channels: int, num_classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)]


def _cnn(width: int, num_classes: int, in_channels: int) -> nn.Module:
    """Pool before the batch norm: it then handles a quarter of the pixels."""
    layers = []
    for inputs, outputs in pairwise([in_channels, width, 2 * width, 2 * width, 4 * width]):
        pool = [nn.MaxPool2d(2)] if outputs < 4 * width else []
        layers += [_conv3x3(inputs, outputs), *pool, nn.BatchNorm2d(outputs), nn.ReLU()]
    net = nn.Sequential(*layers, *_head(4 * width, num_classes))
    net.register_forward_pre_hook(_check_pixels)
    return net


def _check_pixels(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    side = min(inputs[0].shape[2:])
    checks.expect(side >= 8, "images", "have at least 8 x 8 pixels for a cnn", side)


def _resnet18(_depth: int, num_classes: int, in_channels: int) -> nn.Module:
    from torchvision.models import resnet18  # half a second, and only needed here

    net = resnet18(num_classes=num_classes)
    net.conv1 = _conv3x3(in_channels, 64)
    net.maxpool = nn.Identity()
    return net


def _resnet(depth: int, num_classes: int, in_channels: int) -> nn.Module:
    """For small images, 3 stages of n blocks, depth 6n + 2 (He et al. 2016, section 4.2)."""
    n = max(1, round((depth - 2) / 6))
    wanted = "have a ResNet depth of 6n + 2 (8, 14, 20, 32, 56, ...)"
    cure = f"; did you mean 'resnet-{6 * n + 2}'?"
    checks.expect(depth == 6 * n + 2, "name", wanted, depth, cure)
    widths = [16] + n * [16] + n * [32] + n * [64]
    net = nn.Sequential()  # of parts with names, run in their order
    net.stem = nn.Sequential(_conv3x3(in_channels, 16), nn.BatchNorm2d(16), nn.ReLU(inplace=True))
    net.blocks = nn.Sequential(*(BasicBlock(*pair) for pair in pairwise(widths)))
    net.head = nn.Sequential(*_head(64, num_classes))
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
    return net


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut without weights, option A: subsample, pad with 0."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stride = outputs // inputs  # twice the channels are half the pixels a side
        self.padding = (outputs - inputs) // 2
        first = _conv3x3(inputs, outputs, self.stride), nn.BatchNorm2d(outputs)
        second = _conv3x3(outputs, outputs), nn.BatchNorm2d(outputs)
        self.body = nn.Sequential(*first, nn.ReLU(inplace=True), *second)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x[:, :, :: self.stride, :: self.stride]
        if self.padding:
            shortcut = F.pad(shortcut, (0, 0, 0, 0, self.padding, self.padding))
        return F.relu_(self.body(x).add_(shortcut))


MAKERS = {"linear": _mlp, "mlp": _mlp, "cnn": _cnn, "resnet": _resnet, "resnet-18": _resnet18}
