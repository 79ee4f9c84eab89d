"""The one training loop, for teacher and student alike: `fit`, eqs (6)-(8)."""

from rdlite.training.checkpoints import Checkpoint, Stopped
from rdlite.training.config import TrainConfig
from rdlite.training.history import History
from rdlite.training.loop import fit

__all__ = ["Checkpoint", "History", "Stopped", "TrainConfig", "fit"]
