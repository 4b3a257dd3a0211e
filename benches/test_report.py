"""Tests of the pages that are made of results, and of how the rounds of a run come together."""

import json
import shutil
import subprocess
import sys
import tempfile
import unittest
from argparse import Namespace
from pathlib import Path
from unittest.mock import DEFAULT, patch

import decoders
import gpu_tables
import host
import report
import run

RESULTS = Path(__file__).resolve().parent / "results"
SMALL, LARGE = "50,32,20,12", "150,64,5000,20"


def gpu_run():
    """Returns a run on a GPU: the small shape fits the L2 cache, the large one does not."""

    def ours(median, queued, wall, rate):
        return {
            "backend": "gpu",
            "adapter": "Fake 1000",
            "timed_by": "timestamps",
            "median_ms": median,
            "queued_ms": queued,
            "wall_ms": wall,
            "copy_gb_per_s": 1000.0,
            "gb_per_s": rate,
            "workspace_bytes": 1 << 20,
        }

    def peer(kernels, queued, wall, **more):
        headline = {"median_ms": kernels, "timed_by": "kernels", "kernels_ms": kernels}
        return headline | {"queued_ms": queued, "wall_ms": wall} | more

    cpu = {"backend": "cpu", "median_ms": 4.0, "wall_ms": 4.0, "timed_by": "wall", "workspace_bytes": 1 << 20}
    return {
        "date": "2026-01-02",
        "machine": "fake",
        "cpu": "Fake CPU",
        "cores": 2,
        "threads": 2,
        "os": "Linux x86_64",
        "rustc": None,
        "commit": "abc",
        "others_cores": 0.0,
        "python": "3.11",
        "command": "run",
        "rounds": 1,
        "absent": {"flag-gems": "flag_gems 5.0.2 has no ctc_loss"},
        "copy": {"device": "Fake 1000", "copy_gb_per_s": 2000.0, "bytes": 1 << 30, "l2_bytes": 50 << 20},
        "programs": {
            "ctc-wgpu CPU": {SMALL: cpu, LARGE: cpu},
            "ctc-wgpu GPU": {SMALL: ours(0.1, 0.2, 0.4, 3000.0), LARGE: ours(1.0, 1.1, 1.3, 1500.0)},
            "torch": {SMALL: cpu, LARGE: cpu},
            "torch-cuda": {
                SMALL: peer(0.2, 0.8, 1.2, lengths_on="cpu"),
                LARGE: peer(3.0, 3.3, 3.9, lengths_on="cpu"),
            },
            "optax-cuda": {
                SMALL: {
                    "median_ms": 2.0,
                    "timed_by": "queued",
                    "queued_ms": 2.0,
                    "wall_ms": 4.0,
                    "no_kernels": "OSError: no permission",
                },
                LARGE: {"error": "out of memory"},
            },
        },
    }


class Pages(unittest.TestCase):
    def test_pages_of_older_results_stay_as_they_are(self):
        with tempfile.TemporaryDirectory() as folder:
            stem = "2026-11-24-amd-epyc"
            path = Path(shutil.copy(RESULTS / f"{stem}.json", folder))
            report.write(path, readme_too=False)
            for suffix in (".md", ".svg"):
                made, kept = path.with_suffix(suffix).read_text(), (RESULTS / stem).with_suffix(suffix).read_text()
                self.assertEqual(made, kept)
        results = json.loads((RESULTS / f"{stem}-decoders.json").read_text())
        self.assertEqual(decoders.markdown(results), (RESULTS / f"{stem}-decoders.md").read_text())

    def test_a_page_of_a_gpu_compares_three_figures(self):
        page = report.markdown(gpu_run(), "fake.svg")
        tables = page[page.index("## On the GPU") :]
        kernels, queued, wall = (tables.index(text) for text in ("Kernels only", "Steps queued", "One step waited for"))
        self.assertIn("| 50, 32, 20, 12 | 0.100 | 0.200 (2.00×) | – |", tables[kernels:queued])
        self.assertIn("| 150, 64, 5000, 20 | 1.00 | 3.00 (3.00×) | – |", tables[kernels:queued])
        self.assertIn("| 50, 32, 20, 12 | 0.200 | 0.800 (4.00×) | 2.00 (10.0×) |", tables[queued:wall])
        self.assertIn("| 50, 32, 20, 12 | 0.400 | 1.20 (3.00×) | 4.00 (10.0×) |", tables[wall:])
        self.assertIn("| T, N, C, L | ctc-wgpu on Fake 1000 | PyTorch CUDA | optax CUDA |", tables)
        self.assertIn("- PyTorch CUDA, lengths on: cpu", tables)
        self.assertIn("- optax CUDA: OSError: no permission", tables)
        self.assertIn("our tool built elsewhere", page)
        self.assertIn("- FlagGems is absent: flag_gems 5.0.2 has no ctc_loss", page)

    def test_the_larger_rate_of_copying_counts_and_shapes_in_the_cache_are_named(self):
        page = report.markdown(gpu_run(), "fake.svg")
        self.assertIn("The L2 cache has 50.0 MiB", page)
        self.assertIn("our own buffer copy 1,000 GB/s and PyTorch's `copy_` of 1024 MiB 2,000 GB/s", page)
        self.assertIn("the larger counts, PyTorch's `copy_` of 1024 MiB", page)
        self.assertIn("| 50, 32, 20, 12 | 0.24 | 1.00 | yes | 3,000 | 150 % |", page)
        self.assertIn("| 150, 64, 5000, 20 | 366 | 1.00 | no | 1,500 | 75 % |", page)

    def test_a_copy_on_another_device_does_not_count(self):
        results = gpu_run()
        results["copy"]["device"] = "Other 2000"
        rate, sentence = gpu_tables.fastest_copy(results, "ctc-wgpu GPU")
        self.assertEqual(rate, 1000.0)
        self.assertIn("our own buffer copy 1,000 GB/s. PyTorch ran on another device, Other 2000.", sentence)
        self.assertIn("The size of the L2 cache is unknown", report.markdown(results, "fake.svg"))

    def test_every_peer_has_a_mark_in_the_plot(self):
        results = gpu_run()
        line = results["programs"]["torch-cuda"]
        results["programs"] |= dict.fromkeys([*run.PACKAGES, run.BURN], line)
        drawing = report.picture(results)
        for peer in [*run.PACKAGES, run.BURN]:
            self.assertIn(report.TITLES[peer], drawing)


def arguments(**options):
    given = {"tool": Path(sys.executable), "no_build": True, "no_install": True, "threads": 2, "enough": None}
    given |= {"shape": [SMALL], "adapter": None, "peers": [], "rounds": 1, "limit": 60.0}
    return Namespace(**given | options)


class Runs(unittest.TestCase):
    def test_without_a_build_no_cargo_is_called_and_burn_is_absent(self):
        absent = {}
        with patch.object(run, "cargo", side_effect=AssertionError):
            found = run.programs(arguments(peers=["torch-cuda", "burn"], enough=0.5), absent)
        self.assertEqual(list(found), ["ctc-wgpu CPU", "ctc-wgpu GPU", "torch-cuda", "torch-copy"])
        self.assertEqual(absent, {"burn": "it must be built, and --no-build was given"})
        words = list(map(str, found["ctc-wgpu GPU"]))
        self.assertIn("--queued 20", " ".join(words))
        self.assertEqual(words[0], sys.executable)
        self.assertIn("--enough 0.5 --shape 50,32,20,12", " ".join(map(str, found["torch-cuda"])))

    def test_decoders_run_on_each_adapter_too(self):
        found = decoders.programs(arguments(adapter=["One", "Two"]), {})
        self.assertEqual(
            list(found), ["ctc-wgpu CPU", "ctc-wgpu CPU, 1 thread", "ctc-wgpu GPU One", "ctc-wgpu GPU Two"]
        )
        self.assertEqual(found["ctc-wgpu GPU Two"][-4:], ["--backend", "gpu", "--adapter", "Two"])

    def test_an_alignment_of_an_adapter_that_differs_from_the_cpu_has_no_figure(self):
        def line(path, log_prob):
            return {"median_ms": 1.0, "results": [path], "log_probs": [log_prob]}

        task = f"{SMALL} align"
        programs = {
            "ctc-wgpu CPU": {task: line([0, 1], -2.0)},
            "ctc-wgpu GPU": {task: line([0, 2], -2.0)},
            "torchaudio": {task: line([0, 1], -2.0)},
        }
        decoders.compare(programs)
        self.assertEqual(programs["ctc-wgpu GPU"][task]["error"], "1 of 1 items differ from ours")
        self.assertNotIn("error", programs["torchaudio"][task])

    def test_a_tool_that_does_not_exist_is_an_error(self):
        with self.assertRaisesRegex(host.Failed, "there is no tool at /nowhere/ctc-wgpu"):
            run.built(arguments(tool=Path("/nowhere/ctc-wgpu")))

    def test_peers_for_cuda_are_not_installed_without_a_driver(self):
        absent = {}
        with patch.object(shutil, "which", return_value=None), patch.multiple(run, call=DEFAULT, say=DEFAULT) as mocks:
            run.install(["optax-cuda", "optax"], absent, {"optax-cuda": ["jax[cuda13]"], "optax": ["optax"]})
        self.assertEqual(absent, {"optax-cuda": "no NVIDIA driver: nvidia-smi was not found"})
        self.assertNotIn("jax[cuda13]", str(mocks["call"].call_args_list))
        self.assertIn("optax", str(mocks["call"].call_args_list))

    def test_rounds_are_merged_by_the_median_of_each_figure(self):
        def line(kernels, wall):
            return {"shape": [1, 2, 3, 4], "median_ms": kernels, "kernels_ms": kernels, "wall_ms": wall, "timed_by": "kernels"}

        merged = run.merged([[line(1, 9)], [line(3, 7)], [line(2, 5)]])["1,2,3,4"]
        self.assertEqual((merged["median_ms"], merged["kernels_ms"], merged["wall_ms"]), (2, 2, 7))
        self.assertEqual(merged["rounds_ms"], [1, 3, 2])

    def test_a_figure_that_a_round_lacks_is_of_the_others(self):
        lines = [{"shape": [1, 2, 3, 4], "median_ms": ms, "queued_ms": None, "events_ms": ms} for ms in (1, 2, 6)]
        del lines[2]["events_ms"]
        merged = run.merged([[line] for line in lines])["1,2,3,4"]
        self.assertEqual((merged["median_ms"], merged["queued_ms"], merged["events_ms"]), (2, None, 1.5))

    def test_rounds_that_were_timed_otherwise_do_not_mix(self):
        queued = {"shape": [1, 2, 3, 4], "median_ms": 50, "queued_ms": 50, "timed_by": "queued"}
        kernels = {"shape": [1, 2, 3, 4], "median_ms": 1, "queued_ms": 60, "kernels_ms": 1, "timed_by": "kernels"}
        merged = run.merged([[kernels], [queued], [kernels]])["1,2,3,4"]
        self.assertEqual((merged["median_ms"], merged["timed_by"], merged["rounds_ms"]), (1, "kernels", [1, 1]))

    def test_the_copy_is_taken_out_of_the_programs(self):
        measured = {"torch": [], "torch-copy": [[{"copy_gb_per_s": rate}] for rate in (3.0, 1.0, 2.0)]}
        self.assertEqual(run.copied(measured), {"copy_gb_per_s": 2.0})
        self.assertEqual(measured, {"torch": []})
        self.assertIsNone(run.copied(measured))

    def test_a_program_that_is_ended_keeps_its_complete_lines(self):
        endless = 'import time; print("{\\"a\\": 1}"); print("{\\"b", end="", flush=True); time.sleep(60)'
        with patch.object(host, "say"):
            self.assertEqual(host.call([sys.executable, "-c", endless], 1.0), '{"a": 1}')
        with self.assertRaisesRegex(host.Failed, "ended after 0.2 s"):
            host.call([sys.executable, "-c", "import time; time.sleep(60)"], 0.2)

    def test_the_scripts_print_their_options(self):
        for script in ("run.py", "decoders.py", "scaling.py"):
            help_ = subprocess.run(
                [sys.executable, RESULTS.parent / script, "--help"], capture_output=True, text=True, check=True
            )
            self.assertIn("--no-build", help_.stdout)


if __name__ == "__main__":
    unittest.main()
