"""Times a run before it begins, and its network on one window. No file is written."""

import statistics
import time

import jax
import jax.numpy as jnp

from ecg_jax.config import RunConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.models.resnet import build_network
from ecg_jax.training.setup import TrainingSetup, make_plan

CALLS, WARM_UP_CALLS = 100, 10
MEASURED_SECONDS = 1.0  # of training steps, about


def run_seconds(config: RunConfig) -> tuple[float, float]:
    """Seconds that a run will take, and seconds before its first step is done, which are mostly compilation."""
    start = time.perf_counter()
    plan = make_plan(config, open_prepared(config.data.path))
    setup, all_steps = TrainingSetup([plan]), plan.steps_until(config.train.epochs)
    state, _ = setup.train(setup.initial_state(), [0], 1, lambda steps: None)
    setup.validate(state.variables)
    before = time.perf_counter() - start
    timed, steps, first, done = 0.0, 1, 1, 1
    while timed < MEASURED_SECONDS / 2 and first < all_steps:
        start = time.perf_counter()
        state, _ = setup.train(state, [first], steps, lambda steps: None)
        timed, first, done = time.perf_counter() - start, first + steps, steps
        steps *= 2
    step = timed / done if timed else before
    start = time.perf_counter()
    setup.validate(state.variables)
    validation = time.perf_counter() - start
    return all_steps * step + config.train.epochs * validation, before


def latency_ms(config: RunConfig, *, window_samples: int, leads: int, labels: int) -> float:
    """Milliseconds from one window in memory to its logits: the median of 100 calls, after 10 to warm up."""
    network = build_network(config, labels)
    window = jnp.zeros((1, window_samples, leads), jnp.float32)
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, train=False), window)
    variables = jax.tree.map(lambda leaf: jnp.full(leaf.shape, 0.01, leaf.dtype), shapes)
    forward = jax.jit(lambda variables, window: network.apply(variables, window, train=False))
    taken = []
    for _ in range(WARM_UP_CALLS + CALLS):
        start = time.perf_counter()
        jax.block_until_ready(forward(variables, window))
        taken.append(time.perf_counter() - start)
    return 1000 * statistics.median(taken[WARM_UP_CALLS:])
