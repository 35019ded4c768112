"""Intervals by bootstrap over patients. NumPy only."""

import numpy as np


def patient_resamples(patients: np.ndarray, *, resamples: int, seed: int = 0) -> np.ndarray:
    """How often each record occurs in each bootstrap resample of the patients: [R, N] float64.

    A record without a patient name is its own patient. Source: the cluster bootstrap, Davison and Hinkley 1997, 3.8.
    """
    names = np.where(patients == "", [f"record {i}" for i in range(len(patients))], patients)
    of_record = np.unique(names, return_inverse=True)[1]
    n_patients = int(of_record.max()) + 1
    draws = np.random.default_rng(seed).multinomial(n_patients, np.full(n_patients, 1 / n_patients), size=resamples)
    return draws[:, of_record].astype(float)


def interval(values: np.ndarray) -> tuple[float, float] | None:
    """The middle 95 % of a metric over resamples [R] in which it is defined; None if these are too few."""
    defined = values[~np.isnan(values)]
    if len(defined) < max(20, len(values) // 2):
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)
