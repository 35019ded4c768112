"""Run presets: functions that return a complete `RunConfig`. May import `config` only."""

from ecg_jax.config import AugmentConfig, DataConfig, EvaluateConfig, ModelConfig, RunConfig, TrainConfig


def ptb_xl() -> RunConfig:
    """PTB-XL superdiagnostic at 100 Hz: short crops, a stem without pool, strong mixup, windows averaged."""
    return RunConfig(
        data=DataConfig(window_seconds=2.5),
        model=ModelConfig(depth=1, channels=32, kernel=5, stem_pool=False, dropout=0.1, head_dropout=0.3),
        train=TrainConfig(epochs=40, learning_rate=5e-3, ema=0.995, weight_decay=0.1),
        augment=AugmentConfig(gain=0.2, lead_drop=0.2, mixup=1.0),
        evaluate=EvaluateConfig(overlap=0.75),
    )


def cinc2017() -> RunConfig:
    """CinC 2017 at 100 Hz: long crops; five stages after a stem without pool; rare classes weighted."""
    return RunConfig(
        data=DataConfig(window_seconds=20.0),
        model=ModelConfig(depth=1, channels=16, kernel=7, strides=(1, 2, 2, 2, 2), stem_pool=False, dropout=0.2),
        train=TrainConfig(epochs=20, batch_size=32, learning_rate=6e-3, loss="weighted", best_metric="loss"),
        augment=AugmentConfig(gain=0.3, sign=0.2, noise=0.1, baseline=0.3, time_mask=0.1),
    )


def cinc2021() -> RunConfig:
    """CinC 2021 at 100 Hz, 26 classes: half of a usual recording; each window by itself, as gains differ by source."""
    return RunConfig(
        data=DataConfig(window_seconds=5.0, normalise="record"),
        model=ModelConfig(depth=1, channels=32, kernel=7, stem_pool=False, dropout=0.1, head_dropout=0.2),
        train=TrainConfig(epochs=20, batch_size=128, learning_rate=5e-3, ema=0.998, weight_decay=0.05),
        augment=AugmentConfig(gain=0.2, lead_drop=0.1, mixup=0.3),
    )


def mitdb_beats() -> RunConfig:
    """Beats of MIT-BIH at 360 Hz: the window is the whole example, one lead; the head sees where in it each wave is."""
    return RunConfig(
        data=DataConfig(window_seconds=1.6, normalise="record"),
        model=ModelConfig(
            depth=1,
            channels=16,
            kernel=7,
            stem_kernel=15,
            stem_stride=4,
            dropout=0.2,
            head="flatten",
            head_dropout=0.2,
        ),
        train=TrainConfig(epochs=4, batch_size=256, ema=0.998, weight_decay=0.05, best_metric="aami"),
        augment=AugmentConfig(gain=0.2, noise=0.1, baseline=0.3, time_mask=0.1),
    )


RUN_PRESETS = {"ptb_xl": ptb_xl, "cinc2017": cinc2017, "cinc2021": cinc2021, "mitdb_beats": mitdb_beats}
