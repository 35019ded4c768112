"""Any folder of files of samples (.npy, .npz, .csv, .mat, .h5, .edf, ...) with a table of labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

import tyro

from ecg_jax.errors import DataError
from ecg_jax.file_layout import READER_OF_SUFFIX, LayoutFlags, reader_of
from ecg_jax.sources.listing import RecordRef, path_below
from ecg_jax.sources.wfdb_folder import WfdbFolder


@dataclass(frozen=True)
class ArrayFolder(WfdbFolder):
    """A folder of .npy, .npz, .csv, .txt, .mat, .h5 or .edf files with a table: 12 leads at 100 Hz; ten folds if none.

    One recording a file, as samples x leads or leads x samples: the number of leads says which, and the set names it.
    With the extra [formats] also files of devices: XML, DICOM, SCP and ISHNE.
    """

    files: Annotated[LayoutFlags, tyro.conf.arg(name="")] = field(default_factory=LayoutFlags)
    """What the files do not say."""
    name = "folder"

    def _path_below(self, name: str) -> str | None:
        return path_below(self.root, name, READER_OF_SUFFIX)

    def _is_record(self, record_id: str) -> bool:
        return record_id in self._files

    def _record_ids(self) -> list[str]:
        return sorted(self._files)

    def _ref(self, record_id: str, *known: Any, **person: Any) -> RecordRef:
        paths = self._files[record_id]
        if len(paths) > 1:
            raise DataError(f"{record_id} is both {paths[0]} and {paths[1]}; keep one of them below --from")
        layout = self.files.layout()
        return RecordRef(record_id, paths[0], *known, **person, reader=reader_of(paths[0]), layout=layout)

    @cached_property
    def _files(self) -> Mapping[str, Sequence[Path]]:
        """The files of each record by its path below the folder, without extension."""
        found: dict[str, list[Path]] = {}
        for path in sorted(self.root.rglob("*")):
            if path.suffix.lower() in READER_OF_SUFFIX and path.is_file():
                found.setdefault(path.relative_to(self.root).with_suffix("").as_posix(), []).append(path)
        return found
