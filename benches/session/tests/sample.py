"""A session's record from a machine with a GPU, and functions to change it."""

import copy

from shapes import SHAPES

from session import steps

ADAPTER = {
    "name": "NVIDIA H100 80GB HBM3",
    "backend": "vulkan",
    "type": "discrete",
    "driver": "NVIDIA",
    "driver_info": "580.1",
}


def our_line(shape, ms):
    return {
        "backend": "gpu",
        "adapter": ADAPTER["name"],
        "shape": list(shape),
        "version": "0.1.0",
        "median_ms": ms,
        "wall_ms": ms + 0.1,
        "queued_ms": ms + 0.01,
        "first_plan_ms": 900.0,
        "stages_us": {"softmax_stats": 0.4e3 * ms, "sweep": 0.6e3 * ms},
        "ns_per_frame": ms * 1e6 / shape[0],
        "gb_per_s": 12.0 * shape[0] * shape[1] * shape[2] / ms * 1e-6,
        "copy_gb_per_s": 2500.0,
        "timed_by": "timestamps",
        "workspace_bytes": 1 << 20,
        "mean_loss": 10.0,
        "grad_l1": 100.0,
    }


def peer_line(peer, shape, ms):
    return {
        "peer": peer,
        "shape": list(shape),
        "version": "2.11",
        "median_ms": ms,
        "kernels_ms": ms,
        "queued_ms": ms + 0.2,
        "wall_ms": ms + 0.3,
        "timed_by": "kernels",
        "mean_loss": 10.0,
        "grad_l1": 100.0,
    }


def copied():
    return {"peer": "torch-copy", "copy_gb_per_s": 3000.0, "bytes": 1 << 30, "device": ADAPTER["name"], "l2_bytes": 50 << 20}


def part(name, data, status="ok"):
    return {"name": name, "status": status, "seconds": 1.0, "data": data}


def suite(passed=True):
    return {"passed": passed, "extent": "quick", "cases": 10246, "adapters": [{"variants": [{"cases": 10246}]}]}


def bench(shapes, ms):
    return [part(steps.text(shape), [our_line(shape, ms)]) for shape in shapes]


def session():
    """Ours takes 1.0 and 1.1 ms per shape, PyTorch 2.1, and cuDNN refuses the last two shapes."""
    cudnn = [peer_line("torch-cudnn", shape, 1.05) for shape in SHAPES[:5]]
    cudnn += [{"peer": "torch-cudnn", "shape": list(shape), "error": "at most 256"} for shape in SHAPES[5:]]
    parts = {
        "machine": [],
        "validate": [part("suite", [suite()])],
        "times": bench(SHAPES, 1.0),
        "torch": [
            part("torch-copy", [copied()]),
            part("torch-cuda", [peer_line("torch-cuda", shape, 2.1) for shape in SHAPES]),
            part("torch-cudnn", cudnn),
        ],
        "optax": [{"name": "optax-cuda", "status": "absent", "seconds": 1.0, "reason": "No module named 'jax'"}],
        "again": bench([*reversed(SHAPES), *steps.LARGE], 1.1),
        "tests": [part("tests", [{"test": "rounds::a", "status": "ok", "seconds": 1.0}])],
        "more": [part("check", [{"passed": True}]), part("decode", [{"shape": [50, 32, 20, 12], "task": "align", "median_ms": 0.1}])],
        "table": [],
    }
    return {
        "format": 1,
        "kind": "session",
        "date": "2030-01-02",
        "began": "2030-01-02T03:04:05+00:00",
        "ended": "2030-01-02T03:12:05+00:00",
        "seconds": 480.0,
        "command": "benches/gpu_session.sh run out",
        "limits": {"set": "full", "scale": 1.0, "seconds": 540},
        "bundle": {"version": "0.1.0", "commit": "abc", "profile": "release", "rustc": "rustc 1.95.0"},
        "machine": {"os": "Linux 6", "distribution": "Ubuntu", "cpu": "CPU", "cores": 16, "python": "3.12", "libc": "2.39"},
        "smi": None,
        "adapter": copy.deepcopy(ADAPTER),
        "steps": [
            {
                "name": step.name,
                "title": step.title,
                "limit_s": 60,
                "status": "absent" if step.name == "optax" else "ok",
                "seconds": 10.0,
                "parts": parts[step.name],
            }
            for step in steps.STEPS
        ],
    }


def step(record, name):
    return next(step for step in record["steps"] if step["name"] == name)
