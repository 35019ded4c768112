"""Figures as files. May import matplotlib."""

from pathlib import Path

from matplotlib.figure import Figure

from ecg_jax.errors import ConfigError


def save_picture(figure: Figure, out: Path) -> None:
    """Writes a figure in the format that its file name ends in.

    Raises:
        ConfigError: it does not end in the name of a format.
    """
    formats = figure.canvas.get_supported_filetypes()
    if out.suffix.removeprefix(".") not in formats:
        raise ConfigError(f"--out {out} is not the name of a picture; end it in one of .{', .'.join(formats)}")
    figure.savefig(out)
