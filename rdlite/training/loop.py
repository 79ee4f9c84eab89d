"""The one training loop: `fit` is the whole algorithm, eqs (6)-(8), for teacher and student alike.

Equal arguments on one device with one number of threads give equal numbers, to the last bit. Other
threads, another type of CPU or a GPU round sums differently, and training amplifies that: by how
much is measured in tests/benchmarks/spread.py.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict

from torch import Tensor, nn

from rdlite import models
from rdlite.data.splits import Split, check_pair
from rdlite.guards import checks
from rdlite.metrics import summary
from rdlite.multipliers import hedge_step, uniform
from rdlite.objectives import LOSSES, Objective, class_risks
from rdlite.training import devices, norms
from rdlite.training.about import totals
from rdlite.training.checkpoints import Checkpoint, Keeper
from rdlite.training.config import TrainConfig
from rdlite.training.history import History
from rdlite.training.sgd import Loss, Sgd, require_finite
from rdlite.training.targets import Targets, as_targets, marginal


def fit(
    model: nn.Module,
    train: Split,
    objective: Objective,
    *,
    heldout: Split,
    targets: Tensor | Callable[[Tensor], Tensor] | Targets | None = None,
    heldout_targets: Tensor | None = None,
    config: TrainConfig = TrainConfig(),  # noqa: B008 - frozen
    loss: Loss | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
    on_round: Callable[[dict], None] | None = None,
) -> History:
    """Train ``model`` for ``objective`` by eqs (6)-(8), in place, on the device where it lies.

    K rounds. In each, some SGD steps on the margin loss (8) at the class weights (7); then the
    class risks on held-out images move the multipliers (6).

    Args:
        model: float inputs (B, c, h, w) to logits (B, m). Parts in eval mode in a model that is
            in train mode stay so: frozen batch norms.
        train, heldout: the images to learn from, and those whose risks move the multipliers; every
            class needs one of each.
        objective: eq. (3).
        targets: P. None for the one-hot labels, an (n, m) tensor for targets that are the same for
            every view of an image, or a function of the view shown, (B, c, h, w) -> (B, m).
        heldout_targets: (n_heldout, m), or None for the one-hot labels.
        config: how to train.
        loss: (logits (B, m), targets (B, m), class weights (m,)) -> scalar; None for the config's.
        checkpoint: where to keep the state, and whether to go on from it.
        progress, on_round: show a bar, and call this with the row of numbers of each round.

    Returns:
        The history; its ``scorer`` predicts.

    Raises:
        ValueError: arguments that do not fit together, a checkpoint of another training.
        FloatingPointError: the loss, a held-out logit or risk is not finite; the message names the
            step or the round. The last checkpoint is finite.
        OSError: the checkpoint cannot be written; the one before is intact.
        Stopped: SIGINT or SIGTERM came, and the checkpoint is written.
    """
    from tqdm.auto import tqdm  # only needed here

    device = models.device_of(model)
    hint = "; use rdlite.objectives.ROBUST or Objective.named('robust')"
    checks.instance("objective", objective, Objective, hint)
    checks.instance("config", config, TrainConfig)
    cure = "; a name belongs into config.loss"
    checks.expect(loss is None or callable(loss), "loss", "be a function", repr(loss), cure)
    check_pair(train, heldout)
    norms.check(model, config.batch_size)
    models.check("model", model, train.images, train.num_classes)
    train, heldout = train.to(device), heldout.to(device)
    heldout_targets = heldout.one_hot() if heldout_targets is None else heldout_targets
    checks.row_stochastic("heldout_targets", heldout_targets, heldout.num_classes, len(heldout))
    heldout_targets = heldout_targets.to(device)
    targets = as_targets(targets, train)
    shares = marginal(targets, train)
    prior = shares[0]  # pi, or the teacher's marginal
    heldout_shares = totals(heldout_targets, heldout.one_hot()) / len(heldout)

    sgd = Sgd(model, train, targets, loss or LOSSES[config.loss].__wrapped__, config)
    rounds = min(config.rounds or config.epochs, sgd.steps)
    multipliers = uniform(train.num_classes)
    history = History(train.class_names, scorer=model)
    snapshots: list[dict] = []  # the weights after each round, for the average

    def state() -> dict:
        parts = {"sgd": sgd.state_dict(), "history": history.state_dict()}
        return parts | {"player": multipliers, "snapshots": snapshots}

    keeper = Keeper(
        checkpoint,
        about={"objective": asdict(objective), "config": asdict(config), "loss": loss},
        data=[train.images, train.labels, heldout.images, heldout.labels],
        shares={"targets": shares, "heldout_targets": heldout_shares},
        state=state,
    )
    with devices.seeded(config.seed, device), keeper.listening():
        if kept := keeper.restored():
            sgd.load_state_dict(kept["sgd"])
            history.load_state_dict(kept["history"])
            multipliers, snapshots = kept["player"], kept["snapshots"]
        bar = tqdm(range(len(history) + 1, rounds + 1), unit="round", disable=not progress)
        for k in bar:
            started = time.perf_counter()
            class_weights = objective.class_weights(multipliers, prior)  # eq. (7)
            until = sgd.steps * k // rounds
            mean_loss = sgd.run_until(until, class_weights, keeper.after_step)  # eq. (8)
            logits = sgd.predict(heldout.images)
            require_finite("a held-out logit", f"after round {k}", checks.ROOM * logits)
            risks = class_risks.__wrapped__(logits, heldout_targets).double().cpu()  # (1) or (4)
            require_finite("a held-out risk", f"after round {k}", risks)
            scores = summary(logits, heldout.labels)
            row = {
                "round": k,
                "epoch": config.epochs * k / rounds,
                "loss": mean_loss,
                "objective": objective.value(risks, prior),
                **{name: scores[name] for name in ("average", "worst", "worst_class")},
                "seconds": time.perf_counter() - started,
            }
            history.append(row, risks=risks, multipliers=multipliers, class_weights=class_weights)
            payoff = risks if config.payoff == "risk" else 1 - risks.new_tensor(scores["per_class"])
            multipliers = hedge_step(multipliers, payoff, config.step_size)  # eq. (6), (6')
            if config.scorer == "average":
                snapshots.append(copy.deepcopy(model.state_dict()))
            if on_round is not None:
                on_round(row)
            bar.set_postfix(average=f"{row['average']:.2f}", worst=f"{row['worst']:.2f}")
            keeper.after_round(k, rounds)
    if snapshots:
        history.scorer = models.AveragedScorer.of(model, snapshots)
    return history
