"""One training on several devices or machines: torchrun starts a process each, here they agree.

Every process holds the same data and the same network, draws the same batch and trains on its own
rows of it; gradients, batch statistics, losses and held-out logits are shared. So a run in several
processes is the run in one, up to the rounding of sums. In one process all this does nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce  # its gradient is summed, too
from torch.nn.modules.batchnorm import _BatchNorm

from rdlite.guards import checks


@contextlib.contextmanager
def group(device: str) -> Iterator[str]:
    """Join the processes that torchrun started, until the block ends; yields this one's device.

    Args:
        device: ``"cpu"`` (they talk by gloo) or ``"cuda"`` (NCCL; one GPU a process).
    """
    if "LOCAL_RANK" not in os.environ:
        yield device
        return
    on_gpu = torch.device(device).type == "cuda"
    if on_gpu:
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield device
    finally:
        distributed.destroy_process_group()


@contextlib.contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Layers such as dropout draw from ``seed``; the global random state is then as it was."""
    on_gpu = device.type == "cuda"
    with torch.random.fork_rng([device] if on_gpu else []):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would touch every GPU's
        if on_gpu:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def rank() -> int:
    """This process's number, 0 for the one that writes."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def size() -> int:
    """How many processes train together.

    >>> size()
    1
    """
    return distributed.get_world_size() if distributed.is_initialized() else 1


def wait() -> None:
    """Wait until every process is here."""
    if size() > 1:
        distributed.barrier()


def of_first(answer: bool) -> bool:
    """The first process's answer, so that all go the same way."""
    return bool(mean(torch.tensor(float(answer and rank() == 0))) > 0)


def mine(rows: Tensor) -> Tensor:
    """This process's rows: every ``size()``-th, from ``rank()`` on."""
    return rows[rank() :: size()] if size() > 1 else rows


def gathered(rows: Tensor, n: int) -> Tensor:
    """All ``n`` rows, on every process the same ones in the order of before `mine`."""
    if size() == 1:
        return rows
    most = -(-n // size())
    padded = torch.cat([rows, rows.new_zeros(most - len(rows), *rows.shape[1:])])
    parts = [torch.empty_like(padded) for _ in range(size())]
    distributed.all_gather(parts, padded)
    return torch.stack(parts, 1).flatten(0, 1)[:n]


def mean(values: Tensor) -> Tensor:
    """The mean over the processes."""
    if size() == 1:
        return values
    on_gpu = distributed.get_backend() == "nccl"
    total = values.cuda() if on_gpu else values.clone()
    distributed.all_reduce(total)
    return total.to(values.device) / size()


def shared(model: nn.Module, batch_size: int) -> nn.Module:
    """What to call for the logits of this process's rows, so that gradients are those of the batch.

    The batch norms of ``model`` are replaced, in place, by those that share their statistics.

    Args:
        model: the same weights in every process.
        batch_size: images of a step, of all processes together.

    Raises:
        ValueError: a batch that the processes cannot share evenly.
    """
    if size() == 1:
        return model
    checks.require(
        batch_size % size() == 0,
        f"batch_size must be a multiple of the {size()} processes, got {batch_size}",
    )
    device = next(model.parameters()).device
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return nn.parallel.DistributedDataParallel(model, device_ids=[device])
    for parent in [*model.modules()]:
        for name, child in parent.named_children():
            if isinstance(child, _BatchNorm) and not isinstance(child, SharedBatchNorm):
                kind, cure = type(child), "; or train in one process"
                known = kind in (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
                wanted = "have torch's own batch norms where several processes train"
                checks.expect(known, "model", wanted, f"{kind.__name__} at {name}", cure)
                setattr(parent, name, SharedBatchNorm.of(child))
    return nn.parallel.DistributedDataParallel(model)


class SharedBatchNorm(_BatchNorm):
    """Batch norm over the images of all processes, as `torch.nn.SyncBatchNorm` is on GPUs only."""

    @classmethod
    def of(cls, norm: _BatchNorm) -> SharedBatchNorm:
        """With the parameters and buffers of ``norm``, the same tensors, and in its mode."""
        how = (norm.eps, norm.momentum, norm.affine, norm.track_running_stats)
        made = cls(norm.num_features, *how).train(norm.training)
        for name, value in {**dict(norm.named_parameters()), **dict(norm.named_buffers())}.items():
            setattr(made, name, value)
        return made

    def _check_input_dim(self, x: Tensor) -> None:
        checks.expect(x.ndim >= 2, "batch norm's input", "have shape (B, c, ...)", tuple(x.shape))

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or size() == 1:
            return super().forward(x)
        others, channels = (0, *range(2, x.ndim)), (-1, *(1,) * (x.ndim - 2))
        count = x.numel() // x.shape[1] * size()
        mean = all_reduce(x.sum(others)) / count
        apart = x - mean.view(channels)
        variance = all_reduce(apart.square().sum(others)) / count
        if self.running_mean is not None:
            self._follow(mean.detach(), variance.detach() * count / (count - 1))
        scale = (variance + self.eps).rsqrt()
        if not self.affine:
            return apart * scale.view(channels)
        return apart * (self.weight * scale).view(channels) + self.bias.view(channels)

    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        share = 1 / int(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)
