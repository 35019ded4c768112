"""Noise of the nine electrodes, so that it is correlated between leads as in real recordings. May import numpy."""

import numpy as np

# Rows: I, II, V1-V6. Columns: right arm, left arm, left leg, C1-C6. Chest leads refer to the mean of the limbs.
LEADS_FROM_ELECTRODES = np.block(
    [
        [np.array([[-1.0, 1, 0], [-1, 0, 1]]), np.zeros((2, 6))],
        [np.full((6, 3), -1 / 3), np.eye(6)],
    ]
)

EMG_MV = np.array([0.004] * 3 + [0.002] * 6)  # muscle noise is larger at arms and legs than at the chest


def _coloured(rng: np.random.Generator, samples: int, columns: int, shape: np.ndarray) -> np.ndarray:
    """Gaussian noise [T, columns] of standard deviation 1 with the amplitude spectrum `shape` [T // 2 + 1]."""
    bins = rng.normal(size=(len(shape), columns)) + 1j * rng.normal(size=(len(shape), columns))
    noise = np.fft.irfft(bins * shape[:, None], samples, axis=0)
    return noise / noise.std(0)


def electrode_noise(rng: np.random.Generator, samples: int, rate_hz: float) -> np.ndarray:
    """All noise of a recording: [T, 9] in mV at the electrodes.

    Baseline wander (0.05-0.6 Hz, with respiration), muscle noise (20-150 Hz, in bursts), mains interference (50 Hz) and
    white noise of the amplifier; in some recordings a moving electrode or the tremor of an arm, which at 4-6 Hz looks
    like fibrillation if P waves are low.
    """
    time = np.arange(samples) / rate_hz
    hz = np.fft.rfftfreq(samples, 1 / rate_hz)
    contact = rng.lognormal(0, 0.4)  # noise level of all electrodes
    drift = np.where((hz > 0.04) & (hz < 0.7), 1 / np.maximum(hz, 0.04), 0)
    wander = _coloured(rng, samples, 9, drift) * 0.025 * contact * rng.lognormal(0, 0.6, 9)
    breath = np.sin(2 * np.pi * (rng.uniform(0.18, 0.32) * time + rng.random()))
    wander += breath[:, None] * rng.normal(0, 0.012, 9) * contact

    muscle = np.where(hz > 5, 1 / (1 + (25 / np.maximum(hz, 1)) ** 2) / (1 + (hz / 110) ** 4), 0)
    knots = np.arange(0, time[-1] + 2, 0.8)
    bursts = np.interp(time, knots, rng.lognormal(-0.1, 0.45, len(knots)))
    tremble = _coloured(rng, samples, 9, muscle) * bursts[:, None] * contact * EMG_MV * rng.lognormal(0, 0.4, 9)

    phase = 2 * np.pi * (50 * time + rng.random())
    swell = 1 + 0.2 * np.sin(2 * np.pi * (0.1 * time + rng.random()))
    mains = (swell * np.sin(phase))[:, None] * rng.normal(0, 0.004 * rng.lognormal(0, 0.7), 9)

    noise = wander + tremble + mains + rng.normal(0, 0.002, (samples, 9))
    if rng.random() < 0.15:  # an electrode moves: a jump that decays as the amplifier recovers
        since = time - rng.uniform(0, time[-1])
        jump = np.where(since > 0, np.exp(-since / rng.uniform(0.2, 1.2)), np.exp(since / 0.06))
        noise[:, rng.integers(9)] += rng.normal(0, 0.35) * jump
    if rng.random() < 0.08:  # tremor of an arm
        wobble = 0.15 * np.sin(2 * np.pi * (0.4 * time + rng.random()))
        shake = np.sin(2 * np.pi * (rng.uniform(4, 6) * time + wobble))
        noise[:, rng.integers(2)] += rng.uniform(0.02, 0.06) * bursts * shake
    return noise
