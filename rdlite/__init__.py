"""rdlite: robust distillation for worst-class performance, to teach and to measure.

Source: Wang et al., Robust Distillation for Worst-class Performance, arXiv:2206.06479.
"""

__version__ = "0.1.0"
