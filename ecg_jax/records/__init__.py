"""Recordings: read, leads put in order, checked, resampled. May import numpy, scipy and wfdb; never jax."""

from ecg_jax.file_layout import STANDARD_LEADS
from ecg_jax.records.record import MISSING, Quantised, Record, Rejected, quantise
from ecg_jax.records.standardise import load
from ecg_jax.records.wfdb_reader import read_wfdb

__all__ = ["MISSING", "STANDARD_LEADS", "Quantised", "Record", "Rejected", "load", "quantise", "read_wfdb"]
