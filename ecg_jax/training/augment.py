"""Augmentation on the device: each a pure function of (key, signal [T, L]), and mixup over a batch.

Signals are normalised, so amplitudes are in standard deviations. Imports jax, scipy and the config.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy.special import betaincinv

from ecg_jax.config import AugmentConfig

Augment = Callable[[Array, Array], Array]  # (key, signal [T, L]) -> signal [T, L]


def gain(key: Array, signal: Array, *, most: float) -> Array:
    """All leads scaled by one factor from 1 - most to 1 + most."""
    return signal * jax.random.uniform(key, minval=1 - most, maxval=1 + most)


def sign(key: Array, signal: Array, *, chance: float) -> Array:
    """All leads turned upside down, with this chance."""
    return jnp.where(jax.random.bernoulli(key, chance), -signal, signal)


def noise(key: Array, signal: Array, *, std: float) -> Array:
    """White noise of a standard deviation drawn from 0 to `std`."""
    level, samples = jax.random.split(key)
    return signal + jax.random.uniform(level, maxval=std) * jax.random.normal(samples, signal.shape)


def baseline(key: Array, signal: Array, *, most: float, rate_hz: float) -> Array:
    """A sine of 0.05-0.5 Hz, of one frequency and an amplitude and phase for each lead."""
    for_frequency, for_amplitude, for_phase = jax.random.split(key, 3)
    n_samples, n_leads = signal.shape
    frequency_hz = jax.random.uniform(for_frequency, minval=0.05, maxval=0.5)
    amplitude = jax.random.uniform(for_amplitude, (1, n_leads), minval=-most, maxval=most)
    phase = jax.random.uniform(for_phase, (1, n_leads), maxval=2 * jnp.pi)
    seconds = jnp.arange(n_samples)[:, None] / rate_hz
    return signal + amplitude * jnp.sin(2 * jnp.pi * frequency_hz * seconds + phase)


def time_mask(key: Array, signal: Array, *, longest: float) -> Array:
    """One span of up to `longest` of the window blanked in all leads."""
    for_length, for_start = jax.random.split(key)
    n_samples = signal.shape[0]
    length = jax.random.uniform(for_length, maxval=longest) * n_samples
    start = jax.random.uniform(for_start) * (n_samples - length)
    at = jnp.arange(n_samples)[:, None]
    return jnp.where((at >= start) & (at < start + length), 0.0, signal)


def lead_drop(key: Array, signal: Array, *, chance: float) -> Array:
    """Each lead blanked with this chance; one that is drawn beforehand always stays."""
    for_drop, for_kept = jax.random.split(key)
    n_leads = signal.shape[1]
    stays = jnp.arange(n_leads) == jax.random.randint(for_kept, (), 0, n_leads)
    kept = stays | ~jax.random.bernoulli(for_drop, chance, (n_leads,))
    return jnp.where(kept[None], signal, 0.0)


def make_augment(config: AugmentConfig, *, rate_hz: float) -> Augment | None:
    """The chain of augmentations that the config asks for, each with a key of its own; None where it asks for none."""
    asked: list[tuple[Callable[..., Array], dict[str, float]]] = []
    if config.gain:
        asked.append((gain, {"most": config.gain}))
    if config.sign:
        asked.append((sign, {"chance": config.sign}))
    if config.noise:
        asked.append((noise, {"std": config.noise}))
    if config.baseline:
        asked.append((baseline, {"most": config.baseline, "rate_hz": rate_hz}))
    if config.time_mask:
        asked.append((time_mask, {"longest": config.time_mask}))
    if config.lead_drop:
        asked.append((lead_drop, {"chance": config.lead_drop}))

    def chain(key: Array, signal: Array) -> Array:
        for own_key, (change, settings) in zip(jax.random.split(key, len(asked)), asked, strict=True):
            signal = change(own_key, signal, **settings)
        return signal

    return chain if asked else None


def mixup(
    key: Array,
    rows: Array,
    examples: tuple[Array, ...],
    weight: Array,
    *,
    alpha: float,
    gather: Callable[[Array], Array],
) -> tuple[Array, ...]:
    """Each real row mixed with another real one: share * row + (1 - share) * other (Zhang et al. 2018).

    Args:
        key: the step's key, equal on all devices.
        rows: [B] global number of each row that this device holds.
        examples: arrays [B, ...] that are mixed with the same shares, as the signal and its label.
        weight: [B], 0 for a padding row; these stand last in the global batch and stay as they are.
        alpha: of the Beta distribution of the share.
        gather: turns an array of this device's rows into that of all rows.
    """
    for_shift, for_share = jax.random.split(key)
    n_real = gather(weight > 0).sum()
    other = (rows + jax.random.randint(for_shift, (), 1, jnp.maximum(n_real, 2))) % jnp.maximum(n_real, 1)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(for_share, rows)
    # the distribution's own quantiles at even chances: `jax.random.beta` is a loop, which is slow on CPU
    quantiles = jnp.asarray(betaincinv(alpha, alpha, np.linspace(0, 1, 1025)), jnp.float32)
    share = jnp.interp(jax.vmap(jax.random.uniform)(keys), jnp.linspace(0, 1, 1025), quantiles)
    share = jnp.where(weight > 0, share, 1.0)

    def mixed(own: Array) -> Array:
        by_row = share.reshape(-1, *[1] * (own.ndim - 1))
        return by_row * own + (1 - by_row) * gather(own)[other]

    return tuple(mixed(own) for own in examples)
