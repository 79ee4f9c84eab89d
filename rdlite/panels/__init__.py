"""Panels for the notebooks: each a thin view over a pure computation, see `Panel`.

In every one `panel.state` is a plain dict that can be read and set, `panel.reset()` goes back, and
`panel.figure()` is the same picture for readers with no kernel. m classes; risks in nats,
accuracies as fractions.
"""

from rdlite.panels.class_weights import ClassWeightPanel
from rdlite.panels.plane import PlanePanel
from rdlite.panels.teacher import TeacherPanel
from rdlite.panels.tradeoff import TradeoffPanel

__all__ = ["ClassWeightPanel", "PlanePanel", "TeacherPanel", "TradeoffPanel"]
