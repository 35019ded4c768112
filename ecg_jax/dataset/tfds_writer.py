"""Writes examples as a TFDS data set. May import tensorflow_datasets; never loads TensorFlow."""

import errno
import os
from collections.abc import Iterable
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow_datasets as tfds  # at the top: it must not be imported while another thread imports
from array_record.python.array_record_module import ArrayRecordWriter

SPLIT = "records"
Example = dict[str, Any]
SHARD = 8192  # examples in a file


def features(*, leads: int, labels: int) -> tfds.features.FeaturesDict:
    """The fields of an example: signal int16 [T, L], scale_mv float32 [L], labels uint8 [K], and three more."""
    return tfds.features.FeaturesDict(
        {
            "record_id": tfds.features.Text(),
            "signal": tfds.features.Tensor(shape=(None, leads), dtype=np.int16, encoding="bytes"),
            "scale_mv": tfds.features.Tensor(shape=(leads,), dtype=np.float32),
            "labels": tfds.features.Tensor(shape=(labels,), dtype=np.uint8),
            "patient": tfds.features.Text(),
            "fold": tfds.features.Scalar(dtype=np.int32),
        }
    )


def write_tfds(folder: Path, examples: Iterable[Example], *, leads: int, labels: int) -> None:
    """Writes the examples, in order, into an empty folder, which `tfds.builder_from_directory` can open.

    The same examples become the same bytes, which `tfds.core.SequentialWriter` does not promise.

    Args:
        folder: an empty folder; it can be moved afterwards.
        examples: dictionaries with the fields of `features`.
        leads: L.
        labels: K.

    Raises:
        OSError: the files cannot be written.
    """
    fields: Any = features(leads=leads, labels=labels)
    serializer = tfds.core.ExampleSerializer(fields.get_serialized_info())
    template = tfds.core.ShardedFileTemplate(
        data_dir=tfds.core.Path(folder),
        template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_INDEX}",
        dataset_name="ecg",
        split=SPLIT,
        filetype_suffix="array_record",
    )
    lengths, n_bytes, left = [], 0, iter(examples)
    for first in left:
        path = template.sharded_filepath(shard_index=len(lengths), num_shards=None)
        writer = ArrayRecordWriter(str(path), "group_size:1")
        lengths.append(0)
        try:
            for example in islice(chain([first], left), SHARD):
                # the order of the fields in a message is that of a hash table, unless it is asked to be deterministic
                message = serializer.get_tf_example(fields.encode_example(example))
                content = message.SerializeToString(deterministic=True)
                writer.write(content)
                lengths[-1] += 1
                n_bytes += len(content)
            writer.close()
        except RuntimeError as error:  # of array_record, with the words for an error number, such as of a full disk
            number = next((number for number in errno.errorcode if os.strerror(number) in str(error)), errno.EIO)
            raise OSError(number, os.strerror(number), str(path)) from error
    split = tfds.core.SplitInfo(name=SPLIT, shard_lengths=lengths, num_bytes=n_bytes, filename_template=template)
    identity = tfds.core.DatasetIdentity(
        name="ecg", version=tfds.core.Version("1.0.0"), data_dir=str(folder), module_name=""
    )
    about = "ECG recordings in 16 bits: mV = signal * scale_mv; -32768 is a missing sample."
    info = tfds.core.DatasetInfo(builder=identity, features=fields, description=about, disable_shuffling=True)
    info.set_file_format("array_record")
    info.set_splits(tfds.core.SplitDict([split]))
    info.write_to_directory(folder)
