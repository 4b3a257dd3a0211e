"""optax's CTC loss under `jax.jit`."""

import os
import tempfile
from pathlib import Path

from timing import Absent, Step


def optax_cpu(logits, labels, _threads):
    # JAX would choose a GPU if it found one.
    os.environ["JAX_PLATFORMS"] = "cpu"
    import jax

    return [step_of(jax, logits, labels, jax.devices("cpu")[0])]


def optax_cuda(logits, labels, _threads):
    # JAX would otherwise allocate three quarters of the GPU's memory at its start.
    os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
    import jax

    try:
        device = jax.devices("gpu")[0]
    except RuntimeError as error:
        raise Absent(f"JAX finds no GPU: {error}".splitlines()[0]) from None
    return [step_of(jax, logits, labels, device)]


def step_of(jax, logits, labels, device):
    import jax.numpy as jnp
    import optax

    arrays = (logits, jnp.zeros(logits.shape[:2]), labels, jnp.zeros(labels.shape))
    x, no_frames, y, no_labels = (jax.device_put(array, device) for array in arrays)

    def total(x):
        loss = optax.ctc_loss(x, no_frames, y, no_labels, blank_id=0)
        return loss.sum(), loss

    run = jax.jit(jax.grad(total, has_aux=True))

    def start():
        grad, loss = run(x)
        return loss, grad

    on_gpu = device.platform != "cpu"
    return Step(
        start,
        jax.block_until_ready,
        lambda answer: answer,
        on_gpu=on_gpu,
        kernels=(lambda steps: profiled(jax, start, steps)) if on_gpu else None,
    )


def profiled(jax, start, steps):
    """Returns the milliseconds and the number of kernels, copies and fills of these steps."""
    with tempfile.TemporaryDirectory() as folder:
        options = jax.profiler.ProfileOptions()
        # Only the device's events are read.
        options.host_tracer_level = options.python_tracer_level = 0
        with jax.profiler.trace(folder, profiler_options=options):
            for _ in range(steps):
                answer = start()
            jax.block_until_ready(answer)
        [file] = Path(folder).rglob("*.xplane.pb")
        return stream_time(jax.profiler.ProfileData.from_file(str(file)))


def stream_time(profile):
    """Returns the milliseconds and the number of the events on a GPU's streams.

    Other lines of the profile repeat them in groups.
    """
    times = [
        event.duration_ns
        for plane in profile.planes
        if plane.name.startswith("/device:GPU")
        for line in plane.lines
        if line.name.startswith("Stream")
        for event in line.events
    ]
    return sum(times) * 1e-6, len(times)
