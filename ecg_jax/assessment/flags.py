"""What `ecg-jax evaluate` computes beside the metrics. Imports nothing heavy: flags are made from it."""

from dataclasses import dataclass
from typing import Literal

from ecg_jax.errors import ConfigError


@dataclass(frozen=True)
class AssessmentFlags:
    """What is computed beside the metrics."""

    age_bins: tuple[float, ...] = ()
    """Ages in years at which a new group begins; by default the tertiles of the ages."""
    at_sensitivity: float | None = None
    """Also the operating point with this sensitivity on validation, such as .95."""
    at_specificity: float | None = None
    """Also the operating point with this specificity on validation."""
    calibrate: Literal["temperature", "platt"] | None = None
    """Also the calibration after a scaling that is fitted on validation; exclusive labels have a temperature alone."""

    def __post_init__(self) -> None:
        for flag in ("at_sensitivity", "at_specificity"):
            value = getattr(self, flag)
            if value is not None and not 0 < value < 1:
                raise ConfigError(f"--{flag.replace('_', '-')} is {value:g}; give more than 0 and less than 1")
        ascending = all(low < high for low, high in zip(self.age_bins, self.age_bins[1:], strict=False))
        if not ascending or not all(0 < age < 130 for age in self.age_bins):
            raise ConfigError(f"--age-bins is {' '.join(f'{age:g}' for age in self.age_bins)}; give ascending ages")

    @property
    def need_validation(self) -> bool:
        """Whether something is chosen on validation records."""
        return not (self.at_sensitivity is self.at_specificity is self.calibrate is None)
