"""What a planned study can find: from the variances of a pilot, the effects that numbers of seeds and records decide.

With S seeds and N test records the variance of the effect of an axis is V(S, N) = A s2 / S + B / N + A rho2 / (S N),
where A is the sum of the squared weights of one seed. A study finds an effect d with a given power if c sqrt(V) <= d:
with the noncentrality c, the t distribution exceeds the quantile of the interval with this power. More seeds alone
never make V smaller than B / N, so there are effects that these records cannot show. NumPy and SciPy.
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special

from ecg_jax.analysis.axes import Axis
from ecg_jax.analysis.effects import slope
from ecg_jax.analysis.variance import LEVEL, VarianceComponents, VarianceModel

BOUND = 0.8  # confidence of the upper bound of the variance between seeds, which a few seeds do not know well
MOST_SEEDS, MOST_RECORDS = 1000, 10**9


@dataclass(frozen=True)
class Power:
    """What a planned study can find of the effect of one axis."""

    components: VarianceComponents
    """Of the effect in the planned study, with the upper bound of the variance between seeds."""
    power: float
    """Probability with which an effect shall be found."""
    tests: int
    """Number of effects among which the level is divided (Bonferroni), so that the plan holds for Holm, too."""

    def smallest_effect(self, *, seeds: int, records: int | None = None) -> float:
        """The smallest effect that so many seeds and test records find; by default with the records of the pilot."""
        planned = self.components.with_sizes(seeds=seeds, records=records)
        effect = planned.found_effect(self.power, (1 - LEVEL) / self.tests)
        assert effect is not None, "`planned_power` gives no power where it is not known"
        return effect

    def least_effect(self, records: int | None = None) -> float:
        """The effect that no number of seeds can find with these test records, or by default those of the pilot."""
        return self.smallest_effect(seeds=MOST_SEEDS, records=records)

    def seeds_needed(self, effect: float, records: int | None = None) -> int | None:
        """The fewest seeds, two or more, that find an effect; None if these records cannot show it."""
        return _fewest(lambda n: self.smallest_effect(seeds=n, records=records) <= effect, 2, MOST_SEEDS)

    def records_needed(self, effect: float, seeds: int) -> int | None:
        """The fewest test records with which so many seeds find an effect; None if the seeds cannot find it."""
        return _fewest(lambda n: self.smallest_effect(seeds=seeds, records=n) <= effect, 10, MOST_RECORDS)


def _fewest(enough, first: int, most: int) -> int | None:
    found = first + bisect_left(range(first, most + 1), True, key=enough)
    return found if found <= most else None


def planned_power(
    model: VarianceModel, axes: Sequence[Axis], *, power: float = 0.8, tests: int | None = None
) -> dict[str, Power | None]:
    """The power of a study over these axes, from the variances of a pilot over levels of the same axes.

    The variance between seeds is taken at its upper bound, and as that of the pilot's scales for the levels between
    them. The part of the records is taken from the effect in the pilot: it is that of the step from the lowest to the
    highest level, divided by its doublings.

    Args:
        model: of the pilot's metric.
        axes: of the planned study, with their levels; categorical ones have no effect.
        power: probability with which an effect shall be found.
        tests: number of effects that are tested together; by default that of the axes with two levels or more.

    Returns:
        Axis name -> its power; None if an axis has one level, or the pilot does not know its variance.
    """
    numeric = [axis for axis in axes if axis.kind != "categorical"]
    tests = tests or max(sum(len(axis.levels) > 1 for axis in numeric), 1)
    scales = math.prod(len(axis.levels) for axis in axes)
    found: dict[str, Power | None] = {}
    for axis in numeric:
        weights = slope(model.predictions, axis.name)
        components = None if weights is None else model.components(weights)
        if weights is None or components is None or len(axis.levels) < 2 or components.seed_dof <= 0:
            found[axis.name] = None
            continue
        coordinates = axis.coordinates(axis.levels)
        size = components.seeds * float(weights @ weights)  # A of the pilot
        planned = 1 / (scales * float(np.var(coordinates)))
        more_scales = scales / len(model.predictions.scales)
        found[axis.name] = Power(_scaled(components, planned / size, more_scales), power, tests)
    return found


def _scaled(components: VarianceComponents, of_size: float, of_scales: float) -> VarianceComponents:
    """The components for another sum of squared weights and number of scales, with the bound of the seeds' variance."""
    bound = components.seed_dof / float(special.chdtri(components.seed_dof, BOUND))
    between = bound * (components.seed + components.both)
    return replace(
        components,
        seed=max(between - components.both, 0.0) * of_size,
        both=components.both * of_size,
        seed_dof=components.seed_dof * of_scales,
        dof_per_seed=components.dof_per_seed * of_scales,
    )
