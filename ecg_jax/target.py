"""What a network predicts: the labels of a data set, and whether they exclude each other. Standard library only."""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["sigmoid", "softmax"]


@dataclass(frozen=True)
class Target:
    """The labels of a data set in order, and their kind, from which activation, loss and decisions follow.

    `multilabel`: any number of labels a record, each decided by a threshold of its own, fitted on validation.
    `exclusive`: exactly one label a record, decided by the largest probability.
    """

    kind: Literal["multilabel", "exclusive"]
    names: tuple[str, ...]

    @property
    def has_thresholds(self) -> bool:
        """Whether a label is decided by a threshold."""
        return self.kind == "multilabel"

    @property
    def activation(self) -> Activation:
        """The function from logits to probabilities."""
        return "sigmoid" if self.kind == "multilabel" else "softmax"

    @property
    def default_loss(self) -> Literal["bce", "cross_entropy"]:
        """The loss of `--train.loss auto`."""
        return "bce" if self.kind == "multilabel" else "cross_entropy"
