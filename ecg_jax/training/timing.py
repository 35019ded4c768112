"""Times a run before it begins, and its network on one window. No file is written."""

import statistics
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from ecg_jax.config import RunConfig
from ecg_jax.dataset.prepared import open_prepared
from ecg_jax.errors import UserError
from ecg_jax.models.resnet import build_network
from ecg_jax.training.setup import RunPlan, TrainingSetup, make_plan

CALLS, WARM_UP_CALLS = 100, 10
MEASURED_CALLS = 4
MEASURED_SECONDS = 1.0  # of training steps, about


def fastest_together(configs: Sequence[RunConfig]) -> int:
    """How many of these runs take the most examples per second as one program; 1 on CPU.

    First all of them are measured, then half as many, and so on until fewer are more than 5 % slower: each number costs
    a compilation, and mostly the largest one that fits into memory is the fastest.
    """
    if jax.default_backend() == "cpu":
        return 1
    number, best, speed = len(configs), 1, 0.0
    prepared = open_prepared(configs[0].data.path)
    while number > 1 or (number == 1 and speed):  # one alone needs no measurement where no more fit
        try:
            now = _examples_per_second([make_plan(config, prepared) for config in configs[:number]])
        except (jax.errors.JaxRuntimeError, UserError):  # memory; or what the run itself will say
            now = 0.0
        if 1.05 * now < speed:
            break
        number, best, speed = number // 2, number if now else 1, max(now, speed)
    return best


def _examples_per_second(plans: Sequence[RunPlan]) -> float:
    """Of all runs together, over a few calls after the first."""
    setup = TrainingSetup(plans)
    steps = MEASURED_CALLS * setup.devices.steps_per_call
    state, _ = setup.train(setup.initial_state(), [0] * len(plans), steps, lambda steps: None)
    start = time.perf_counter()
    setup.train(state, [steps] * len(plans), steps, lambda steps: None)
    return len(plans) * steps * setup.batch_size / (time.perf_counter() - start)


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
