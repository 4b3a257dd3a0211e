"""Tests the timing of the peers' steps, with a simulated clock and GPU.

`python3 -m unittest discover benches` runs them.
"""

import sys
import unittest
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

# At the end: both folders have a decoders.py.
sys.path.append(str(Path(__file__).resolve().parent / "peers"))

import jax_peers  # noqa: E402
import torch_peers  # noqa: E402
from timing import PROFILED, Measured, Step, Timer, best, timer_for  # noqa: E402


class Gpu:
    """A device with a queue.

    Launching a step keeps the host busy for `launch` ms; its kernels run for `kernels` ms.
    """

    def __init__(self, launch=0.1, kernels=1.0):
        self.launch, self.kernels = launch, kernels
        self.now = self.idle_at = 0.0

    def clock(self):
        return self.now * 1e-3

    def start(self):
        self.now += self.launch
        self.idle_at = max(self.now, self.idle_at) + self.kernels

    def wait(self, _answer=None):
        self.now = max(self.now, self.idle_at)

    def profile(self, steps):
        for _ in range(steps):
            self.start()
        self.wait()
        return steps * self.kernels, steps * 7

    def step(self, **options):
        return Step(self.start, self.wait, numpy=None, on_gpu=True, **options)

    def line(self, **options):
        return best([Timer(0.1, self.clock).figures(self.step(**options))])


class ThreeFigures(unittest.TestCase):
    def test_a_step_waited_for_includes_its_launch_and_queued_steps_overlap(self):
        line = Gpu(launch=0.1, kernels=1.0).line()
        self.assertAlmostEqual(line["wall_ms"], 1.1)
        self.assertAlmostEqual(line["queued_ms"], (0.1 + 20 * 1.0) / 20)

    def test_queued_steps_are_bound_by_launches_where_kernels_are_short(self):
        line = Gpu(launch=2.0, kernels=1.0).line()
        self.assertAlmostEqual(line["wall_ms"], 3.0)
        self.assertAlmostEqual(line["queued_ms"], (20 * 2.0 + 1.0) / 20)

    def test_kernels_are_the_headline_where_a_profiler_records_them(self):
        gpu = Gpu(launch=2.0, kernels=1.0)
        line = gpu.line(kernels=gpu.profile)
        self.assertAlmostEqual(line["kernels_ms"], 1.0)
        self.assertEqual((line["median_ms"], line["timed_by"]), (line["kernels_ms"], "kernels"))
        self.assertEqual(line["kernels_per_step"], 7)

    def test_queued_steps_are_the_headline_without_a_profiler(self):
        line = Gpu().line()
        self.assertEqual((line["median_ms"], line["timed_by"]), (line["queued_ms"], "queued"))
        self.assertNotIn("kernels_ms", line)

    def test_a_profiler_that_fails_leaves_the_other_figures_and_a_reason(self):
        def fail(_steps):
            raise OSError("no permission\nand a trace")

        line = Gpu().line(kernels=fail)
        self.assertEqual(line["timed_by"], "queued")
        self.assertEqual(line["no_kernels"], "OSError: no permission")

    def test_a_profiler_without_kernels_or_with_too_many_is_not_trusted(self):
        line = Gpu().line(kernels=lambda _steps: (0, 0))
        self.assertEqual(line["no_kernels"], "RuntimeError: the profiler recorded no kernel")
        gpu = Gpu(kernels=1.0)
        line = gpu.line(kernels=lambda steps: tuple(2 * value for value in gpu.profile(steps)))
        self.assertEqual(line["timed_by"], "queued")
        self.assertIn("2.000 ms of kernels", line["no_kernels"])

    def test_on_a_cpu_only_a_step_waited_for_is_timed(self):
        gpu = Gpu(launch=2.0, kernels=0.0)
        step = Step(gpu.start, gpu.wait, numpy=None)
        line = best([Timer(0.1, gpu.clock).figures(step)])
        self.assertEqual(set(line), {"wall_ms", "median_ms", "min_ms", "runs", "timed_by"})
        self.assertEqual(line["timed_by"], "wall")
        self.assertEqual(step.figures(), ["wall"])

    def test_each_figure_is_of_the_faster_place_of_the_lengths(self):
        line = best(
            [
                Measured({"wall": [2, 3], "queued": [2], "kernels": [1.5]}, {"kernels_per_step": 9}, "cpu"),
                Measured({"wall": [4, 5], "queued": [3], "kernels": [1.0]}, {"kernels_per_step": 8}, "cuda"),
            ]
        )
        self.assertEqual((line["wall_ms"], line["queued_ms"], line["kernels_ms"]), (2.5, 2, 1.0))
        self.assertEqual(line["kernels_per_step"], 8)
        self.assertEqual(line["lengths_on"], "cpu for wall, queued; cuda for kernels")

    def test_one_place_that_is_faster_throughout_is_named_alone(self):
        slow, fast = ({"wall": [ms], "queued": [ms]} for ms in (2, 1))
        self.assertEqual(best([Measured(slow, {}, "cpu"), Measured(fast, {}, "cuda")])["lengths_on"], "cuda")

    def test_the_seconds_of_a_shape_are_shared_by_its_figures(self):
        gpu = Gpu()
        steps = [gpu.step(), gpu.step(kernels=gpu.profile)]
        self.assertAlmostEqual(timer_for(steps, 2.0).enough, 2.0 / (2 + 3))
        self.assertEqual(timer_for(steps, None).enough, 1.0)

    def test_a_figure_keeps_to_its_seconds(self):
        gpu = Gpu(launch=0.0, kernels=10.0)
        Timer(1.0, gpu.clock).wall(gpu.step())
        self.assertAlmostEqual(gpu.clock(), 0.2 + 1.0, delta=0.03)

    def test_slow_steps_run_five_times_at_most_ten_times_as_long(self):
        gpu = Gpu(launch=0.0, kernels=1500.0)
        times = Timer(1.0, gpu.clock).wall(gpu.step())
        self.assertEqual(len(times), 5)
        gpu = Gpu(launch=0.0, kernels=4000.0)
        times = Timer(1.0, gpu.clock).wall(gpu.step())
        self.assertEqual(len(times), 3)


def event(device, us, **more):
    return SimpleNamespace(device_type=SimpleNamespace(name=device), self_device_time_total=us, **more)


class FakeTorch:
    """The part of PyTorch that times a step on CUDA, over a `Gpu`."""

    uint8 = "uint8"

    def __init__(self, gpu):
        self.gpu = gpu
        self.cuda = SimpleNamespace(
            synchronize=gpu.wait,
            Event=self.event,
            is_available=lambda: True,
            get_device_properties=lambda _: SimpleNamespace(name="Fake 1000", L2_cache_size=50 << 20),
        )
        activity = SimpleNamespace(CUDA="CUDA")
        self.profiler = SimpleNamespace(profile=self.profile, ProfilerActivity=activity)
        self.profiles = 0

    def event(self, enable_timing):
        mark = SimpleNamespace(at=None, synchronize=self.gpu.wait)

        def record():
            mark.at = max(self.gpu.now, self.gpu.idle_at)

        mark.record, mark.elapsed_time = record, lambda end: end.at - mark.at
        return mark

    def profile(self, activities):
        assert activities == ["CUDA"]
        torch = self

        class Profile:
            def __enter__(self):
                torch.profiles += 1
                self.idle = torch.gpu.idle_at == torch.gpu.now
                return self

            def __exit__(self, *_):
                self.complete = torch.gpu.idle_at == torch.gpu.now

            def events(self):
                assert self.idle and self.complete, "a profile must begin and end with an idle device"
                us = torch.gpu.kernels * 1e3 / 2
                return [event("CUDA", us), event("CUDA", us), event("CPU", 5.0)] * PROFILED

        return Profile()

    def zeros(self, _size, dtype, device):
        assert (dtype, device) == ("uint8", "cuda")
        return SimpleNamespace()

    def empty_like(self, _source):
        return SimpleNamespace(copy_=lambda _: self.gpu.start())


class OnCuda(unittest.TestCase):
    def test_device_time_counts_what_ran_on_the_device_once(self):
        older = SimpleNamespace(device_type=SimpleNamespace(name="CUDA"), self_cuda_time_total=500.0)
        events = [
            event("CUDA", 1500.0, is_user_annotation=False),
            event("CUDA", 9000.0, is_user_annotation=True),
            event("CPU", 7000.0, is_user_annotation=False),
            older,
        ]
        self.assertEqual(torch_peers.device_time(events), (2.0, 2))

    def test_a_cuda_step_has_all_four_figures(self):
        gpu = Gpu(launch=0.5, kernels=0.25)
        step = torch_peers.cuda_step(FakeTorch(gpu), gpu.start, None, "cpu")
        self.assertEqual(step.figures(), ["wall", "queued", "events", "kernels"])
        line = best([Timer(0.1, gpu.clock).figures(step)])
        self.assertAlmostEqual(line["kernels_ms"], 0.25)
        # Events span the launch, which is why they do not count.
        self.assertAlmostEqual(line["events_ms"], 0.75)
        self.assertAlmostEqual(line["wall_ms"], 0.75)
        self.assertAlmostEqual(line["queued_ms"], (20 * 0.5 + 0.25) / 20)
        self.assertEqual((line["kernels_per_step"], line["lengths_on"]), (2, "cpu"))

    def test_the_copy_counts_bytes_read_and_written(self):
        gpu = Gpu(launch=0.01, kernels=1.0)
        fakes = {
            "with_cuda": lambda: FakeTorch(gpu),
            "timer_for": lambda steps, seconds: Timer(seconds, gpu.clock),
        }
        with patch.multiple(torch_peers, **fakes):
            line = torch_peers.copy_rate(0.1)
        self.assertEqual((line["timed_by"], line["device"], line["l2_bytes"]), ("kernels", "Fake 1000", 50 << 20))
        self.assertAlmostEqual(line["copy_gb_per_s"], 2 * 2**30 / 1e-3 / 1e9)

    def test_streams_of_a_gpu_count_and_their_groups_do_not(self):
        def line(name, *durations):
            return SimpleNamespace(name=name, events=[SimpleNamespace(duration_ns=ns) for ns in durations])

        planes = [
            SimpleNamespace(name="/host:CPU", lines=[line("Stream #1", 9e9)]),
            SimpleNamespace(
                name="/device:GPU:0",
                lines=[line("Stream #14(Kernel,MemcpyD2D)", 1e6, 5e5), line("XLA Ops", 2e6), line("XLA Modules", 2e6)],
            ),
        ]
        self.assertEqual(jax_peers.stream_time(SimpleNamespace(planes=planes)), (1.5, 2))


if __name__ == "__main__":
    unittest.main()
