"""SGD on one model, in stretches that each have their own class weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from rdlite import models
from rdlite.data import Split, batches
from rdlite.guards import checks
from rdlite.training import devices, norms
from rdlite.training.config import SCHEDULES, TrainConfig
from rdlite.training.targets import Targets

CURE = "lower learning_rate or step_size, or look for non-finite targets"
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]  # logits, targets (B, m), class weights (m,)


def require_finite(what: str, when: str, *values: Tensor) -> None:
    """A FloatingPointError says ``what`` is not finite, ``when``, and what to try."""
    if not all(bool(torch.isfinite(value).all()) for value in values):
        raise FloatingPointError(f"training diverged: {what} is not finite {when}; {CURE}")


class Sgd:
    """The model, trained in place, its optimiser and the images to come, all on its device.

    ``done`` of ``steps`` steps are made. A ``loss`` with a state of its own has a ``state_dict``.
    """

    def __init__(
        self, model: nn.Module, train: Split, targets: Targets, loss: Loss, config: TrainConfig
    ) -> None:
        self.model, self.targets, self.loss, self.config = model, targets, loss, config
        self.steps = config.epochs * batches.steps_per_epoch(len(train), config.batch_size)
        self.done = 0
        self.losses: list[Tensor] = []  # of the stretch that is under way
        self.last, self.warned = None, False  # a late step's batch, for `norms.settle`
        self.device, low = models.device_of(model), config.precision == "bfloat16"
        self.autocast = partial(torch.autocast, self.device.type, torch.bfloat16, enabled=low)
        how = ("batch_size", "sampling", "seed", "shift", "flip", "padding")
        options = {name: getattr(config, name) for name in how}
        self.drawn = partial(batches.Views, train.images, train.labels, **options)
        self.views = self.drawn()
        self.logits_of = devices.shared(model, min(config.batch_size, len(train)))
        if config.compile:
            self.logits_of = torch.compile(self.logits_of)
        how = {"momentum": config.momentum, "weight_decay": config.weight_decay}
        self.optimiser = torch.optim.SGD(model.parameters(), config.learning_rate, **how)
        self.parts = {"model": model, "optimiser": self.optimiser, "views": self.views}
        self.parts |= {"loss": loss} if hasattr(loss, "state_dict") else {}

    def run_until(
        self, step: int, class_weights: Tensor, after_step: Callable[[], None] | None = None
    ) -> float:
        """SGD steps until ``step`` of them are done; returns their mean loss, nats.

        A FloatingPointError names the first step whose loss is not finite. On a CPU it comes before
        that step moves the weights. Nothing waits for a GPU, or for another process, before the
        last step: there it comes after that.
        """
        if not self.model.training:  # in one that trains, parts in eval mode are frozen
            self.model.train()
        class_weights = class_weights.float().to(self.device)
        while self.done < step:
            self._step(class_weights)
            if after_step is not None:
                after_step()
        losses = devices.mean(torch.stack(self.losses))
        self._require_finite(losses)
        self.losses = []
        with self.autocast():
            self.warned |= norms.settle(self.model, self.config, self.drawn, self.last)
        return float(losses.mean())

    def _require_finite(self, losses: Sequence[Tensor]) -> None:
        """The last losses; a GPU is asked once, and one by one only for the first bad step."""
        if not torch.isfinite(torch.as_tensor(losses)).all():
            for step, loss in enumerate(losses, self.done - len(losses) + 1):
                require_finite("the loss", f"at step {step}", loss)

    def _step(self, class_weights: Tensor) -> None:
        share = SCHEDULES[self.config.schedule](self.done / self.steps)
        for group in self.optimiser.param_groups:
            group["lr"] = self.config.learning_rate * share
        index, view = (devices.mine(rows) for rows in next(self.views))
        with self.autocast():
            # the targets first: after the logits, a teacher would push them out of the cache
            rows = self.targets.rows(index, view)
            logits = self.logits_of(view)
        good, got = isinstance(logits, Tensor), f"a {type(logits).__name__}; wrap it"
        checks.expect(good, "model", "give one tensor of logits in training, too", got)
        loss = self.loss(logits.float(), rows.float(), class_weights)
        self.losses.append(loss.detach())
        self.done += 1
        late = 2 * self.done > self.steps and not self.warned
        self.last = (view, logits.detach(), rows) if late else None
        if loss.is_cpu and devices.size() == 1:
            require_finite("the loss", f"at step {self.done}", self.losses[-1])
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def predict(self, images: Tensor) -> Tensor:
        """Logits (n, m) float32, as `rdlite.models.predict`; every process takes a share."""
        with self.autocast():
            logits = models.predict(self.model, devices.mine(images))
        return devices.gathered(logits.float(), len(images))

    def state_dict(self) -> dict:
        """What `load_state_dict` needs to go on, bit for bit; an error if there is divergence."""
        self._require_finite(self.losses)
        require_finite("a weight", f"after step {self.done}", *self.model.parameters())
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        return parts | {"losses": list(self.losses), "done": self.done}

    def load_state_dict(self, state: dict) -> None:
        """Go on where the state was taken."""
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self.losses = [loss.to(self.device) for loss in state["losses"]]
        self.done = state["done"]
