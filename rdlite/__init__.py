"""rdlite: robust distillation for worst-class performance, to teach and to measure.

Read in this order: `objectives` (what is wanted), `multipliers` (who insists on the worst class),
`training.loop` (how a network learns it), `distillation` (what a teacher adds), `metrics` (what is
measured). Then `theory` for the reasons, and `baselines` and `studies` for the evidence.

Source: Wang et al., Robust Distillation for Worst-class Performance, arXiv:2206.06479.
"""

__version__ = "0.1.0"
