"""Mean and standard deviation for the normalisation of a run, from its training records. NumPy only."""

import numpy as np

from ecg_jax.dataset.prepared import PreparedSet
from ecg_jax.records.record import MISSING

CHUNK = 256  # records read at once


def mean_and_std_mv(prepared: PreparedSet, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each lead [L], in mV, over the measured samples of these records.

    A lead that has no measured sample or is constant gets mean 0 and standard deviation 1.
    """
    count, total, square = (np.zeros(len(prepared.leads)) for _ in range(3))
    for first in range(0, len(indices), CHUNK):
        for signal, scale_mv in prepared.read(indices[first : first + CHUNK]):
            measured = signal != MISSING
            signal_mv = np.where(measured, signal.astype(np.float64) * scale_mv, 0)
            count += measured.sum(axis=0)
            total += signal_mv.sum(axis=0)
            square += (signal_mv**2).sum(axis=0)
    mean = total / np.maximum(count, 1)
    std = np.sqrt(np.maximum(square / np.maximum(count, 1) - mean**2, 0))
    flat = std < 1e-6
    return np.where(flat, 0, mean), np.where(flat, 1, std)
