"""The theory without sampling error: exact populations, the game, and why a teacher matters."""

from rdlite.theory.hedge import HedgeCurve, hedge_curve, regret_bound
from rdlite.theory.mixture import GaussianMixture
from rdlite.theory.population import Population
from rdlite.theory.students import Students, train_students
from rdlite.theory.teachers import add_noise, bias, distort, temper

__all__ = [
    "GaussianMixture",
    "HedgeCurve",
    "Population",
    "Students",
    "add_noise",
    "bias",
    "distort",
    "hedge_curve",
    "regret_bound",
    "temper",
    "train_students",
]
