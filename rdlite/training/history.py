"""What happened in each round of a training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import pandas as pd


@dataclass
class History:
    """What happened in each round, and the scorer to predict with.

    Attributes:
        class_names: m names.
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
    risks: Tensor = field(default_factory=lambda: torch.empty(0))
    multipliers: Tensor = field(default_factory=lambda: torch.empty(0))
    class_weights: Tensor = field(default_factory=lambda: torch.empty(0))

    def __len__(self) -> int:
        return len(self.rows)

    def append(self, row: dict, **vectors: Tensor) -> None:
        """Add a round: its numbers and its (m,) ``risks``, ``multipliers``, ``class_weights``."""
        self.rows.append(row)
        for name, new in vectors.items():
            setattr(self, name, torch.cat([getattr(self, name).view(-1, len(new)), new[None]]))

    def frame(self) -> pd.DataFrame:
        """A row a round: the numbers of ``rows`` and, for each class k, ``risk_k``,
        ``multiplier_k`` and ``class_weight_k``."""
        import pandas as pd  # a quarter of a second, and only needed here

        m = len(self.class_names)
        parts = [pd.DataFrame(self.rows)]
        for name in ("risk", "multiplier", "class_weight"):
            values = getattr(self, f"{name}s").reshape(len(self), m).numpy()
            parts.append(pd.DataFrame(values, columns=[f"{name}_{k}" for k in range(m)]))
        return pd.concat(parts, axis=1)

    def state_dict(self) -> dict:
        """All but the scorer."""
        vectors = {name: getattr(self, name) for name in ("risks", "multipliers", "class_weights")}
        return {"rows": list(self.rows), **vectors}

    def load_state_dict(self, state: dict) -> None:
        """Take over what `state_dict` gave."""
        for name, value in state.items():
            setattr(self, name, value)
