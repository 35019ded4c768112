"""Data sets: which records there are, and each one's labels, patient and fold. Reads no signal; never imports jax."""

from ecg_jax.sources.cinc2017 import cinc2017
from ecg_jax.sources.listing import Listing, RecordRef
from ecg_jax.sources.ptb_xl import TASKS, ptb_xl
from ecg_jax.sources.wfdb_folder import wfdb_folder

__all__ = ["TASKS", "Listing", "RecordRef", "cinc2017", "ptb_xl", "wfdb_folder"]
