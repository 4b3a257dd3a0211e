import tempfile
import unittest
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from unittest import mock

from shapes import SHAPES

from session import figures, page, steps
from session.tests import sample

README = """# A project

<!-- gpu:begin -->
No figure of a GPU is known yet.
<!-- gpu:end -->

| platform | |
| --- | --- |
| Linux | all tests |
| GPUs of NVIDIA, AMD, Intel | not run |
"""


class Figures(unittest.TestCase):
    def test_ours_is_the_mean_of_the_rounds_and_says_how_far_they_lie_apart(self):
        first = figures.ours(sample.session())["50,32,20,12"]
        self.assertAlmostEqual(first["median_ms"], 1.05)
        self.assertAlmostEqual(first["spread"], 0.1)

    def test_a_peer_whose_sums_are_not_ours_has_no_figure(self):
        record = sample.session()
        sample.step(record, "torch")["parts"][1]["data"][0]["mean_loss"] = 11.0
        compared = figures.compared(record)["torch-cuda"]
        self.assertIn("mean_loss", compared["50,32,20,12"]["error"])
        self.assertIsNone(figures.figure(compared["50,32,20,12"], "kernels"))
        self.assertAlmostEqual(figures.figure(compared["150,32,28,40"], "queued"), 2.3)

    def test_a_wrong_answer_of_ours_fails_and_has_no_figure(self):
        record = sample.session()
        sample.step(record, "again")["parts"][6]["data"] = [{"shape": [50, 32, 20, 12], "error": "loss off by 1"}]
        self.assertFalse(figures.passes(record))
        self.assertEqual(figures.ours(record)["50,32,20,12"], {"error": "loss off by 1"})
        self.assertIn("answers of the timed batches: 8 of 9 right", figures.correctness(record))

    def test_the_last_table_has_at_most_20_lines_and_every_shape(self):
        lines = figures.terminal(sample.session())
        self.assertLessEqual(len(lines), 20)
        text = "\n".join(lines)
        for shape in [*SHAPES, *steps.LARGE]:
            self.assertIn(steps.text(shape), text)
        self.assertIn("`copy_` of 1024 MiB 3,000 GB/s", text)


class Page(unittest.TestCase):
    def test_the_page_has_correctness_times_stages_ratios_and_environment(self):
        text = page.markdown(sample.session())
        self.assertTrue(text.startswith("# A session on a GPU, 2030-01-02, NVIDIA H100 80GB HBM3\n"))
        for part in (
            "conformance suite (quick): 10246 cases, pass",
            "| 50, 32, 20, 12 | 1.05 | 1.06 | 1.15 |",
            "| 400 (40 %) | 600 (60 %) | 1,000 |",
            "2.10 (2.00×) | 1.05 (1.00×)",
            "580.1",
            "optax CUDA is absent: No module named 'jax'",
            "PyTorch cuDNN at 2000, 4, 128, 500: at most 256",
        ):
            self.assertIn(part, text)

    def test_stages_stand_in_the_order_of_their_dispatches(self):
        known = ["check_labels", "softmax_stats", "sweep inward", "label_links", "sweep outward", "join", "grad", "other"]
        # Records made before the stages were renamed.
        earlier = ["chain", "grad", "labels", "meet", "other", "stats", "sweep in", "sweep out"]
        as_dispatched = ["softmax_stats", "label_links", "grad"]
        for names, shown in [(earlier, known), (sorted(known), known), (as_dispatched, as_dispatched)]:
            record = sample.session()
            for part in sample.step(record, "times")["parts"] + sample.step(record, "again")["parts"]:
                part["data"][0]["stages_us"] = dict.fromkeys(names, 344458.8)
            self.assertIn(f"| T, N, C, L | {' | '.join(shown)} | sum |", page.table_of_stages(record))
            self.assertIn("| 344,500 (", page.table_of_stages(record))

    def test_the_readme_gets_the_same_text_however_often_it_is_written(self):
        record = sample.session()
        once = page.with_section(README, record)
        self.assertNotIn("No figure of a GPU", once)
        self.assertIn("| Vulkan: NVIDIA H100 80GB HBM3 (NVIDIA 580.1) | `validate --quick`, 1 of 1 GPU tests", once)
        self.assertEqual(page.with_section(once, record), once)

    def test_another_card_gets_a_row_beside_the_first(self):
        other = sample.session()
        other["adapter"]["name"] = "AMD Radeon RX 7900 XTX"
        both = page.with_section(page.with_section(README, sample.session()), other)
        rows = [line for line in both.splitlines() if line.startswith("| Vulkan")]
        self.assertEqual(len(rows), 2)

    def test_the_projects_readme_has_the_marks(self):
        page.with_section(page.README.read_text(encoding="utf-8"), sample.session())

    def test_neither_a_rehearsal_nor_a_wrong_answer_gets_into_the_readme(self):
        rehearsal = {**sample.session(), "kind": "rehearsal"}
        wrong = sample.session()
        sample.step(wrong, "validate")["parts"][0]["data"] = [sample.suite(passed=False)]
        incomplete = sample.session()
        incomplete["steps"].pop()
        development = sample.session()
        development["bundle"]["profile"] = "dev"
        failing = sample.session()
        real = [part for part in sample.step(failing, "more")["parts"] if part["name"] == "check"]
        real[0]["data"][0]["passed"] = False
        for record, message in [
            (rehearsal, "rehearsal"),
            (wrong, "FAIL"),
            (incomplete, "incomplete"),
            (development, "development build"),
            (failing, "real network: FAIL"),
        ]:
            with self.assertRaisesRegex(page.Failed, message):
                page.write(record, readme=True)

    def test_a_rehearsal_is_called_one_in_its_title_and_its_name(self):
        record = {**sample.session(), "kind": "rehearsal"}
        with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
            root = Path(folder)
            with mock.patch.multiple(page, ROOT=root, RESULTS=root / "results"):
                page.write(record, readme=False)
            (text,) = [file.read_text(encoding="utf-8") for file in root.rglob("*-rehearsal-*.md")]
        self.assertTrue(text.startswith("# Rehearsal"))
        self.assertIn("software adapter are wall times", text)
        self.assertNotIn("software adapter", page.markdown(sample.session()))


if __name__ == "__main__":
    unittest.main()
