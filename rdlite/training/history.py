"""What happened in each round of a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import pandas as pd

VECTORS = ("risks", "multipliers", "class_weights")


@dataclass
class History:
    """What happened in each round, and the scorer to predict with.

    Attributes:
        scorer: the trained model, or the `AveragedScorer` of all rounds.
        rows: a dict a round: ``round`` (from 1), ``epoch``, ``loss`` (training, nats),
            ``objective`` (held-out, eq. (3), nats), ``average`` and ``worst`` (held-out accuracy),
            ``worst_class``, ``seconds``.
        risks, multipliers, class_weights: (K, m) float64. A round's weights are those it trained
            with; its risks are measured on the held-out set after it.
    """

    class_names: tuple[str, ...]
    scorer: nn.Module
    rows: list[dict] = field(default_factory=list)
    _vectors: dict[str, list[Tensor]] = field(default_factory=lambda: {n: [] for n in VECTORS})

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, row: dict, **vectors: Tensor) -> None:
        """Add a round: its numbers and its (m,) ``risks``, ``multipliers``, ``class_weights``."""
        self.rows.append(row)
        for name in VECTORS:
            self._vectors[name].append(vectors[name])

    risks = property(lambda self: self._stacked("risks"))
    multipliers = property(lambda self: self._stacked("multipliers"))
    class_weights = property(lambda self: self._stacked("class_weights"))

    def _stacked(self, name: str) -> Tensor:
        rounds = self._vectors[name]
        return torch.stack(rounds) if rounds else torch.empty(0, len(self.class_names)).double()

    def frame(self) -> pd.DataFrame:
        """A row a round: its numbers, and risk_k, multiplier_k, class_weight_k of every class k."""
        import pandas as pd  # a quarter of a second, and only needed here

        parts = {name.removesuffix("s"): getattr(self, name).numpy() for name in VECTORS}
        columns = [pd.DataFrame(part).add_prefix(f"{name}_") for name, part in parts.items()]
        return pd.concat([pd.DataFrame(self.rows), *columns], axis=1)

    def state_dict(self) -> dict:
        """All but the scorer."""
        return {"rows": list(self.rows), **{name: getattr(self, name) for name in VECTORS}}

    def load_state_dict(self, state: dict) -> None:
        """Take over what `state_dict` gave."""
        self.rows = state["rows"]
        self._vectors = {name: list(state[name]) for name in VECTORS}
