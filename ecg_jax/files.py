"""Files that are there whole or not at all. May import nothing of ours."""

import os
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes beside the place under a temporary name, syncs, then renames."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
