"""Generator of labelled 12-lead recordings, written as WFDB."""

from ecg_jax.synthetic.cohort import LABELS, REACH_SECONDS
from ecg_jax.synthetic.recordings import write

__all__ = ["LABELS", "REACH_SECONDS", "write"]
