"""One epoch of distillation, ResNet-56 to ResNet-20: torchdistill over `distill`.

Both have the same networks, images, batches of 128, augmentation, SGD and threads (all), and one
held-out pass an epoch. torchdistill is used as its examples do, by its `DistillationBox` and
`KDLoss`; its data set hands out whole batches from memory, augmented at once, so that its loader
costs next to nothing. An epoch of `distill` has 1/60 of what comes before the first one (labelling,
checks): a training has about 60 epochs.
"""

from __future__ import annotations

import importlib.util
import logging
import statistics

import torch
from timing import in_turns, medians, network, now, over, photographs, stretches_of_sgd
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from rdlite.data import Split, Splits
from rdlite.data.batches import as_input, augment
from rdlite.distillation import distill
from rdlite.models import predict
from rdlite.objectives import STANDARD
from rdlite.training import TrainConfig

EPOCHS = 60  # what comes before the first is spread over so many
BATCH = 128
AUGMENTED = {"shift": 4, "flip": True}
TARGETS = {"plain": 2.3, "views8": 2.0, "consistent": 1.2}


def installed() -> bool:
    """Whether torchdistill is there."""
    return importlib.util.find_spec("torchdistill") is not None


class Batches(torch.utils.data.Dataset):
    """A split as torchdistill takes it: (inputs, labels, no supplement), a batch at a time."""

    def __init__(self, split: Split) -> None:
        self.split, self.generator = split, torch.Generator().manual_seed(0)

    def __len__(self) -> int:
        return len(self.split)

    def __getitems__(self, index: list[int]) -> tuple[Tensor, Tensor, dict]:
        views = augment(self.split.images[index], self.generator, **AUGMENTED)
        return as_input(views), self.split.labels[index], {}


def box(teacher: nn.Module, student: nn.Module, train: Split) -> object:
    """torchdistill's box, for standard distillation with labels and teacher half and half."""
    from torchdistill.core.distillation import get_distillation_box
    from torchdistill.datasets.registry import register_collate_func

    logging.getLogger("torchdistill").setLevel(logging.ERROR)
    register_collate_func(lambda batch: batch, key="as it comes")
    ends = {"module_path": ".", "module_io": "output"}
    kwargs = {f"{who}_{what}": end for who in ("student", "teacher") for what, end in ends.items()}
    loss = {"key": "KDLoss", "kwargs": {**kwargs, "temperature": 1.0, "alpha": 0.5}}
    sgd = {"lr": 0.1, "momentum": 0.9, "weight_decay": 5e-4}
    config = {
        "num_epochs": 1,
        "train_data_loader": {
            "dataset_id": "train",
            "requires_supp": False,
            "sampler": {"class_or_func": torch.utils.data.RandomSampler},
            "collate_fn": "as it comes",
            "kwargs": {"batch_size": BATCH, "drop_last": True, "num_workers": 0},
        },
        "teacher": {"forward_proc": "forward_batch_only", "requires_grad": False},
        "student": {"forward_proc": "forward_batch_only"},
        "optimizer": {"key": "SGD", "kwargs": sgd},
        "criterion": {
            "key": "WeightedSumLoss",
            "kwargs": {"sub_terms": {"kd": {"criterion": loss, "weight": 1.0}}},
        },
    }
    device = torch.device("cpu")
    return get_distillation_box(
        teacher, student, {"train": Batches(train)}, config, device, None, False, 1
    )


def their_epoch(made: object, student: nn.Module, heldout: Split) -> list[float]:
    """An epoch as in torchdistill's examples; returns the losses."""
    made.pre_epoch_process(epoch=0)
    losses = []
    for inputs, labels, supplement in made.train_data_loader:
        loss = made.forward_process(inputs, labels, supplement)
        made.post_forward_process(loss)
        losses.append(loss.item())
    made.post_epoch_process()
    predict(student, heldout.images)
    return losses


def our_epoch(
    teacher: nn.Module, train: Split, heldout: Split, view: str, epochs: int
) -> tuple[float, float]:
    """Seconds of an epoch but the first, with a share of what comes before; the last mean loss."""
    splits = Splits("", train, heldout, heldout, "")
    config = TrainConfig(epochs=epochs, batch_size=BATCH, **AUGMENTED)
    asked, ends = now(), []
    with stretches_of_sgd() as stretches:
        history = distill(
            teacher,
            network("resnet-20", train),
            splits,
            STANDARD,
            teacher_view=view,
            mix=0.5,
            config=config,
            on_round=lambda _: ends.append(now()),
        )
    inside = [end - start for (start, _), end in zip(stretches, ends, strict=True)]
    before = stretches[0][0] - asked
    return statistics.median(inside[1:]) + before / EPOCHS, history.rows[-1]["loss"]


def gigaflops(teacher: nn.Module, student: nn.Module, images: Tensor) -> tuple[float, float]:
    """Of a teacher's labels, and of a student's step, for one batch (convolutions and linear)."""
    with FlopCounterMode(display=False) as labels, torch.no_grad():
        teacher(images)
    with FlopCounterMode(display=False) as step:
        student(images).sum().backward()
    return labels.get_total_flops() / 1e9, step.get_total_flops() / 1e9


def measure(quick: bool = False) -> dict | None:
    """The ratios by teacher_view, or None where torchdistill is not installed."""
    if not installed():
        return None
    train, heldout = photographs(32, 150 if quick else 520)
    names = ("resnet-8", "resnet-8") if quick else ("resnet-56", "resnet-20")
    teacher = network(names[0], train, seed=1).eval()
    nets = {  # its examples leave the memory format as it is; the second is what it could gain
        "torchdistill": network(names[1], train).to(memory_format=torch.contiguous_format),
        "torchdistill, channels_last": network(names[1], train),
    }
    jobs = {}
    for name, student in nets.items():
        last = name.endswith("channels_last")
        own = network(names[0], train, seed=1).eval()
        own = own if last else own.to(memory_format=torch.contiguous_format)
        made = box(own, student, train)
        jobs[name] = lambda made=made, student=student: _none(their_epoch(made, student, heldout))
    for view, (words, epochs) in {
        "plain": ("plain", 2),
        "views8": ("views", 8),
        "consistent": ("consistent", 2),
    }.items():
        jobs[view] = lambda words=words, epochs=epochs: our_epoch(
            teacher, train, heldout, words, epochs
        )[0]
    taken = in_turns(jobs, 1 if quick else 6)
    student = network(names[1], train)
    labels, step = gigaflops(teacher, student, as_input(train.images[:BATCH]))
    both = labels + step
    return {
        "values": {view: over(taken, "torchdistill", view) for view in TARGETS},
        "others": {
            f"{view}, torchdistill in channels_last": over(
                taken, "torchdistill, channels_last", view
            )
            for view in TARGETS
        },
        "seconds": medians(taken),
        "steps": len(train) // BATCH,
        "gigaflops a batch": {"teacher's labels": labels, "student's step": step},
        "by arithmetic alone": {
            "plain": both / step,
            "views8": both / (step + 8 * labels / EPOCHS),
            "consistent": 1.0,
        },
    }


def _none(_losses: list[float]) -> None:
    """So that `in_turns` times the call."""
