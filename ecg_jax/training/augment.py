"""Augmentations on the device: pure functions of (key, signal [T, L]), time stretching, and mixup over a batch.

Signals are normalised, so amplitudes are in standard deviations. Imports jax, scipy and the config.
"""

from collections.abc import Callable
from functools import partial
from math import ceil

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import betaincinv

from ecg_jax.config import AugmentConfig

Augment = Callable[[Array, Array], Array]  # (key, signal [T, L]) -> signal [T, L]
Stretch = Callable[[Array, Array, Array], tuple[Array, Array]]  # (key, signal, measured [T', L]) -> both [T, L]


def gain(key: Array, signal: Array, *, largest: float) -> Array:
    """Scales all leads by one factor between 1 - largest and 1 + largest."""
    return signal * jax.random.uniform(key, minval=1 - largest, maxval=1 + largest)


def sign(key: Array, signal: Array, *, probability: float) -> Array:
    """Inverts all leads, with this probability."""
    return jnp.where(jax.random.bernoulli(key, probability), -signal, signal)


def noise(key: Array, signal: Array, *, std: float) -> Array:
    """Adds white noise with a random standard deviation between 0 and `std`."""
    level, samples = jax.random.split(key)
    return signal + jax.random.uniform(level, maxval=std) * jax.random.normal(samples, signal.shape)


def baseline(key: Array, signal: Array, *, largest: float, rate_hz: float) -> Array:
    """Adds a sine of 0.05-0.5 Hz, with one frequency for all leads and amplitude and phase for each lead."""
    for_frequency, for_amplitude, for_phase = jax.random.split(key, 3)
    n_samples, n_leads = signal.shape
    frequency_hz = jax.random.uniform(for_frequency, minval=0.05, maxval=0.5)
    amplitude = jax.random.uniform(for_amplitude, (1, n_leads), minval=-largest, maxval=largest)
    phase = jax.random.uniform(for_phase, (1, n_leads), maxval=2 * jnp.pi)
    seconds = jnp.arange(n_samples)[:, None] / rate_hz
    return signal + amplitude * jnp.sin(2 * jnp.pi * frequency_hz * seconds + phase)


def time_mask(key: Array, signal: Array, *, longest: float) -> Array:
    """Sets one span, up to the fraction `longest` of the window, to 0 in all leads."""
    for_length, for_start = jax.random.split(key)
    n_samples = signal.shape[0]
    length = jax.random.uniform(for_length, maxval=longest) * n_samples
    start = jax.random.uniform(for_start) * (n_samples - length)
    sample = jnp.arange(n_samples)[:, None]
    return jnp.where((sample >= start) & (sample < start + length), 0.0, signal)


def lead_drop(key: Array, signal: Array, *, probability: float) -> Array:
    """Sets each lead to 0 with this probability, except one that is drawn first and always kept."""
    for_drop, for_kept = jax.random.split(key)
    n_leads = signal.shape[1]
    stays = jnp.arange(n_leads) == jax.random.randint(for_kept, (), 0, n_leads)
    kept = stays | ~jax.random.bernoulli(for_drop, probability, (n_leads,))
    return jnp.where(kept[None], signal, 0.0)


def stretch(key: Array, signal: Array, measured: Array, *, largest: float, samples: int) -> tuple[Array, Array]:
    """Changes the speed by one factor between 1 - largest and 1 + largest, by linear interpolation.

    Args:
        key: of the window.
        signal: [T', L], T' = `stretched_from(samples, largest)`.
        measured: [T', L] bool; a value between two samples is measured if both are.
        largest: relative change of speed.
        samples: T, of the result.
    """
    place = jnp.arange(samples) * jax.random.uniform(key, minval=1 - largest, maxval=1 + largest)
    before = jnp.floor(place).astype(jnp.int32)
    share, after = (place - before)[:, None], before + (place > before)
    both = measured[before] & measured[after]
    return jnp.where(both, (1 - share) * signal[before] + share * signal[after], 0.0), both


def stretched_from(samples: int, largest: float) -> int:
    """The samples that are read at most for a window of `samples` whose speed is changed; as many without a change."""
    return ceil((samples - 1) * (1 + largest)) + 1


def make_augment(config: AugmentConfig, *, rate_hz: float) -> Augment | None:
    """The chain of augmentations in the config, each with its own key; None if there are none."""
    known = [
        (config.gain, partial(gain, largest=config.gain)),
        (config.sign, partial(sign, probability=config.sign)),
        (config.noise, partial(noise, std=config.noise)),
        (config.baseline, partial(baseline, largest=config.baseline, rate_hz=rate_hz)),
        (config.time_mask, partial(time_mask, longest=config.time_mask)),
        (config.lead_drop, partial(lead_drop, probability=config.lead_drop)),
    ]
    parts = [change for strength, change in known if strength]

    def chain(key: Array, signal: Array) -> Array:
        for own_key, change in zip(jax.random.split(key, len(parts)), parts, strict=True):
            signal = change(own_key, signal)
        return signal

    return chain if parts else None


def mixup(
    key: Array,
    rows: Array,
    examples: tuple[Array, ...],
    weight: Array,
    *,
    alpha: float,
    gather: Callable[[Array], Array],
) -> tuple[Array, ...]:
    """Mixes each real row with another real row: share * row + (1 - share) * other (Zhang et al. 2018).

    Args:
        key: the step's key, equal on all devices.
        rows: [B] global index of each row on this device.
        examples: arrays [B, ...] that are mixed with the same shares, such as signals and labels.
        weight: [B], 0 for a padding row; padding rows are last in the global batch and are not changed.
        alpha: parameter of the Beta distribution of the share.
        gather: function from an array of this device's rows to the array of all rows.
    """
    for_shift, for_share = jax.random.split(key)
    n_real = gather(weight > 0).sum()
    other = (rows + jax.random.randint(for_shift, (), 1, jnp.maximum(n_real, 2))) % jnp.maximum(n_real, 1)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(for_share, rows)
    # inverse transform sampling: `jax.random.beta` is a loop, which is slow on CPU
    quantiles = jnp.asarray(betaincinv(alpha, alpha, np.linspace(0, 1, 1025)), jnp.float32)
    share = jnp.interp(jax.vmap(jax.random.uniform)(keys), jnp.linspace(0, 1, 1025), quantiles)
    share = jnp.where(weight > 0, share, 1.0)

    def mixed(own: Array) -> Array:
        by_row = share.reshape(-1, *[1] * (own.ndim - 1))
        return by_row * own + (1 - by_row) * gather(own)[other]

    return tuple(mixed(own) for own in examples)
