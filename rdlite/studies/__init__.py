"""Many trainings, with seeds, into one table: the evidence."""

from rdlite.studies.grid import run_grid, train
from rdlite.studies.spec import GridSpec, recipe

__all__ = ["GridSpec", "recipe", "run_grid", "train"]
