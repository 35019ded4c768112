"""Writes examples as a TFDS data set. May import tensorflow_datasets; never loads TensorFlow."""

from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds  # at the top: it must not be imported while another thread imports

from ecg_jax.dataset.prepared import SPLIT

Example = dict[str, Any]
SHARD = 8192  # examples in a file
BATCH = 64  # examples between two updates of the description


def write_tfds(folder: Path, examples: Iterable[Example], *, leads: int, labels: int) -> None:
    """Writes the examples, in order, into an empty folder, which `tfds.builder_from_directory` can open.

    Args:
        folder: an empty folder; it can be moved afterwards.
        examples: record_id, signal int16 [T, L], scale_mv float32 [L], labels uint8 [K], patient, fold int32.
        leads: L.
        labels: K.
    """
    features = tfds.features.FeaturesDict(
        {
            "record_id": tfds.features.Text(),
            "signal": tfds.features.Tensor(shape=(None, leads), dtype=np.int16, encoding="bytes"),
            "scale_mv": tfds.features.Tensor(shape=(leads,), dtype=np.float32),
            "labels": tfds.features.Tensor(shape=(labels,), dtype=np.uint8),
            "patient": tfds.features.Text(),
            "fold": tfds.features.Scalar(dtype=np.int32),
        }
    )
    identity = tfds.core.DatasetIdentity(
        name="ecg", version=tfds.core.Version("1.0.0"), data_dir=str(folder), module_name=""
    )
    about = "ECG recordings in 16 bits: mV = signal * scale_mv; -32768 is a missing sample."
    info = tfds.core.DatasetInfo(builder=identity, features=features, description=about, disable_shuffling=True)
    writer = tfds.core.SequentialWriter(info, max_examples_per_shard=SHARD, file_format="array_record")
    writer.initialize_splits([SPLIT])
    left = iter(examples)
    while batch := list(islice(left, BATCH)):
        writer.add_examples({SPLIT: batch})
    writer.close_all()
