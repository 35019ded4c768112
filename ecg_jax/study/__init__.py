"""The study of scales: which depth, width and kernel the data want, and how sure that is.

Names are handed on lazily, so that the command line knows this room without NumPy.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecg_jax.study.analysis import analyse
    from ecg_jax.study.effects import claims
    from ecg_jax.study.outcomes import Outcomes

__all__ = ["Outcomes", "analyse", "claims"]


def __getattr__(name: str) -> Any:
    if name == "Outcomes":
        from ecg_jax.study.outcomes import Outcomes

        return Outcomes
    if name == "claims":
        from ecg_jax.study.effects import claims

        return claims
    if name == "analyse":
        from ecg_jax.study.analysis import analyse

        return analyse
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
