"""Files that are there whole or not at all. May import nothing of ours."""

import os
import secrets
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes a text as `write_bytes` does."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Writes beside the place under a temporary name, syncs, then renames."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")  # other writers have names of their own
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def write_new(path: Path, text: str) -> bool:
    """Writes a file unless there is one of that name, which wins, also against writers at the same moment."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.new")
    write_text(temporary, text)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True
