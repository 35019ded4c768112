"""The other side of the benchmarks: our networks from PyTorch layers, and a plain script that trains them.

Needs PyTorch (extra [bench]) and no JAX; imported by the benchmarks that compare.
"""

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # pyright: ignore[reportMissingImports]: the extra [bench]
from sklearn.metrics import roc_auc_score
from torch import nn  # pyright: ignore[reportMissingImports]
from torch.optim.swa_utils import get_ema_multi_avg_fn  # pyright: ignore[reportMissingImports]

from ecg_jax.config import AugmentConfig, ModelConfig, RunConfig, TrainConfig
from ecg_jax.errors import UserError

EVALUATION_BATCH = 256

Steps = Callable[[int], None]
"""Executes the given number of training steps and waits until they are finished."""


class Block(nn.Module):
    """Two convolutions with a shortcut in parallel: [B, C_in, T] -> [B, C, ceil(T / stride)]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, dropout: float):
        super().__init__()
        between = [nn.ReLU(inplace=True), *([nn.Dropout(dropout)] if dropout else [])]
        self.body = nn.Sequential(
            *_convolution(inputs, outputs, kernel, stride), *between, *_convolution(outputs, outputs, kernel)
        )
        projected = stride > 1 or inputs != outputs
        self.shortcut = nn.Sequential(*_convolution(inputs, outputs, 1, stride)) if projected else nn.Identity()

    def forward(self, x: Any) -> Any:
        """Returns the sum of both ways."""
        return torch.relu(self.body(x) + self.shortcut(x))


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[Any]:
    conv = nn.Conv1d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2, bias=False)
    return [conv, nn.BatchNorm1d(outputs)]


def torch_network(config: ModelConfig, leads: int, labels: int) -> Any:
    """The network of a config with one depth and one kernel, basic blocks, growth 2 and the default head.

    Raises:
        UserError: the config describes another network.
    """
    depth, kernel = config.depth, config.kernel
    known = ModelConfig(
        depth,
        config.channels,
        kernel,
        strides=config.strides,
        stem_pool=config.stem_pool,
        dropout=config.dropout,
        head_dropout=config.head_dropout,
    )
    if config != known or not (isinstance(depth, int) and isinstance(kernel, int)):
        raise UserError("the PyTorch network has one depth, one kernel, and strides, stem pool and dropout of a config")
    channels = config.channels
    layers = [*_convolution(leads, channels, config.stem_kernel, config.stem_stride), nn.ReLU(inplace=True)]
    if config.stem_pool:
        layers.append(nn.MaxPool1d(3, 2, padding=1))
    for stage, first_stride in enumerate(config.strides):
        width = config.channels * 2**stage
        for stride in (first_stride, *[1] * (depth - 1)):
            layers.append(Block(channels, width, kernel, stride, config.dropout))
            channels = width
    layers += [nn.AdaptiveAvgPool1d(1), nn.Flatten()]
    if config.head_dropout:
        layers.append(nn.Dropout(config.head_dropout))
    return nn.Sequential(*layers, nn.Linear(channels, labels))


def _adamw(network: Any, config: TrainConfig) -> Any:
    groups = [
        {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in network.parameters() if p.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate)


def theirs(
    config: ModelConfig, shape: tuple[int, int, int], labels: int, *, compiled: bool = False
) -> tuple[Steps, int]:
    """Training steps of the PyTorch network, on a GPU where there is one, and the number of its parameters.

    Args:
        config: of the network.
        shape: of a batch [B, T, L].
        labels: number of labels.
        compiled: whether the network is compiled by `torch.compile`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batch, samples, leads = shape
    network = torch_network(config, leads, labels).to(device)
    optimizer = _adamw(network, TrainConfig())
    loss_of = nn.BCEWithLogitsLoss()
    x = torch.randn(batch, leads, samples, device=device)
    label = torch.randint(0, 2, (batch, labels), device=device).float()
    forward = torch.compile(network) if compiled else network

    def steps(number: int) -> None:
        for _ in range(number):
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of(forward(x), label)
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return steps, sum(p.numel() for p in network.parameters())


def train_script(data: Path, config: RunConfig, rate_hz: float, folder: Path, *, predict_test: bool) -> float:
    """A plain script: the training of a run by PyTorch, with the same network, steps, schedule and augmentation.

    All recordings are in memory as float tensors. After every epoch it validates, with the mean over the windows of a
    record and scikit-learn's AUROC, and saves everything that a restart needs by `torch.save`.

    Args:
        data: an .npz file with `signal_mv` [N, L, T], `label` [N, K] and the indices `training`, `validation`, `test`.
        config: of the run.
        rate_hz: of the signals.
        folder: where the checkpoints are written.
        predict_test: whether the test records are predicted with the best variables, to a CSV file.

    Returns:
        The best macro AUROC of validation.

    Raises:
        UserError: the script does not know a setting of the config.
    """
    train = config.train
    _check_known(config)
    folder.mkdir(parents=True)
    torch.manual_seed(train.seed)
    loaded = np.load(data)
    signal, label = torch.from_numpy(loaded["signal_mv"]), torch.from_numpy(loaded["label"])
    training = torch.from_numpy(loaded["training"])
    mean, std = (f(signal[training], dim=(0, 2))[None, :, None] for f in (torch.mean, torch.std))
    signal = (signal - mean) / std
    window = config.data.window_samples(rate_hz)
    windows = {
        split: _windows(signal[loaded[split]], window, config.evaluate.overlap) for split in ("validation", "test")
    }
    crops = signal[training].unfold(2, window, 1)  # a view: [N, L, T - window + 1, window]
    training_label, validation_label = label[training], loaded["label"][loaded["validation"]]

    network = torch_network(config.model, signal.shape[1], label.shape[1])
    averaged = torch_network(config.model, signal.shape[1], label.shape[1])
    averaged.load_state_dict(network.state_dict())
    optimizer = _adamw(network, train)
    batch, n_records = min(train.batch_size, len(training)), len(training)
    ends = [-(-epoch * n_records // batch) for epoch in range(1, train.epochs + 1)]
    settings = {"pct_start": 0.3, "div_factor": 25.0, "final_div_factor": 1e4, "cycle_momentum": False}
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, train.learning_rate, total_steps=ends[-1] + 1, **settings)
    order = torch.cat([torch.randperm(n_records) for _ in range(train.epochs + 1)])
    best = -1.0
    for epoch, (first, end) in enumerate(itertools.pairwise([0, *ends]), 1):
        began, losses = time.perf_counter(), []
        network.train()
        for step in range(first, end):
            record = order[step * batch : (step + 1) * batch]
            x, y = crops[record, :, torch.randint(crops.shape[2], (batch,))], training_label[record]
            x, y = _augmented(x, y, config.augment)
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(network(x), y)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), train.clip_norm)
            optimizer.step()
            schedule.step()
            _average(averaged, network, min(train.ema, (1 + step) / (10 + step)))
            losses.append(loss.item())
        probability = _predict(averaged, windows["validation"])
        both = validation_label.min(axis=0) < validation_label.max(axis=0)
        auroc = float(roc_auc_score(validation_label[:, both], probability[:, both]))
        parts = {"network": network, "averaged": averaged, "optimizer": optimizer, "schedule": schedule}
        state = {name: part.state_dict() for name, part in parts.items()}
        torch.save(state | {"epoch": epoch, "loss": np.mean(losses).item(), "auroc": auroc}, folder / "last.pt")
        if auroc > best:
            best = auroc
            torch.save(averaged.state_dict(), folder / "best.pt")
        with (folder / "log.csv").open("a") as log:
            log.write(f"{epoch},{np.mean(losses):.6g},{auroc:.6g},{time.perf_counter() - began:.3f}\n")
    if predict_test:
        averaged.load_state_dict(torch.load(folder / "best.pt"))
        np.savetxt(folder / "predictions_test.csv", _predict(averaged, windows["test"]), delimiter=",")
    return best


def _check_known(config: RunConfig) -> None:
    train, augment = config.train, config.augment
    known = TrainConfig(
        train.epochs,
        train.batch_size,
        train.seed,
        learning_rate=train.learning_rate,
        weight_decay=train.weight_decay,
        clip_norm=train.clip_norm,
        ema=train.ema,
    )
    changes = AugmentConfig(gain=augment.gain, lead_drop=augment.lead_drop, mixup=augment.mixup)
    if train != known or augment != changes or config.data.normalise != "set":
        raise UserError(
            "the PyTorch script knows AdamW, one_cycle, binary cross-entropy, gain, lead_drop and mixup only"
        )


def _windows(signal: Any, window: int, overlap: float) -> Any:
    """Evenly spaced windows of each record: [N, L, T] -> [S, N, L, window]."""
    room, stride = signal.shape[2] - window, max(1, round(window * (1 - overlap)))
    starts = np.round(np.linspace(0, room, -(-room // stride) + 1)).astype(int)
    return torch.stack([signal[:, :, start : start + window] for start in starts])


def _augmented(x: Any, y: Any, config: AugmentConfig) -> tuple[Any, Any]:
    """Random gain, dropped leads and mixup of windows [B, L, T] and labels [B, K]."""
    batch, leads = x.shape[:2]
    if config.gain:
        x = x * (1 + config.gain * (2 * torch.rand(batch, 1, 1) - 1))
    if config.lead_drop:
        kept = torch.rand(batch, leads) >= config.lead_drop
        kept[torch.arange(batch), torch.randint(leads, (batch,))] = True
        x = x * kept[:, :, None]
    if config.mixup:
        share, other = torch.distributions.Beta(config.mixup, config.mixup).sample((batch,)), torch.randperm(batch)
        x = torch.lerp(x[other], x, share[:, None, None])
        y = torch.lerp(y[other], y, share[:, None])
    return x, y


@torch.no_grad()
def _average(averaged: Any, network: Any, decay: float) -> None:
    """Moves the averaged parameters and running statistics to those of the network by 1 - decay."""
    pairs = zip(*(itertools.chain(each.parameters(), each.buffers()) for each in (averaged, network)), strict=True)
    old, new = zip(*(pair for pair in pairs if pair[0].is_floating_point()), strict=True)
    get_ema_multi_avg_fn(decay)(old, new, None)


@torch.inference_mode()
def _predict(network: Any, windows: Any) -> np.ndarray:
    """Probabilities [N, K] of the records, averaged over their windows [S, N, L, T]."""
    network.eval()
    logits = torch.cat([network(part) for part in windows.flatten(0, 1).split(EVALUATION_BATCH)])
    return torch.sigmoid(logits).reshape(*windows.shape[:2], -1).mean(dim=0).numpy()
