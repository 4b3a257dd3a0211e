"""Tests what `compilers.sh` keeps and what its page states, without a compiler.

`python3 -B -m unittest discover benches` runs them.
"""

import contextlib
import io
import json
import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "compilers"))

import main as compilers
import table


class Kept(unittest.TestCase):
    def kept(self, only, commit, now):
        """Returns the results of `commit`, or of none, that a run keeps, and its messages."""
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()) as printed:
            path = Path(folder) / "compilers.json"
            if commit:
                path.write_text(json.dumps({"commit": commit, "compilers": []}))
            return compilers.kept_results(path, only, now), printed.getvalue()

    def test_the_others_results_of_a_commit_are_kept(self):
        kept, printed = self.kept("ptxas", "0cdf623", "0cdf623")
        self.assertEqual((kept["commit"], printed), ("0cdf623", ""))

    def test_a_complete_run_and_a_first_run_keep_nothing(self):
        self.assertEqual(self.kept(None, "0cdf623", "0cdf623"), ({}, ""))
        self.assertEqual(self.kept("ptxas", None, "0cdf623"), ({}, ""))

    def test_results_of_another_commit_are_replaced(self):
        kept, printed = self.kept("ptxas", "73d1092", "0cdf623")
        self.assertEqual(kept, {})
        self.assertIn("is of commit 73d1092 and is replaced as a whole", printed)

    def test_nothing_is_kept_while_kernels_have_uncommitted_changes(self):
        for commit in ("0cdf623", "0cdf623 and changes"):
            kept, printed = self.kept("ptxas", commit, "0cdf623 and changes")
            self.assertEqual(kept, {})
            self.assertIn("uncommitted changes", printed)

    def test_results_with_uncommitted_changes_are_not_kept_for_the_commit(self):
        self.assertEqual(self.kept("ptxas", "0cdf623 and changes", "0cdf623")[0], {})


MADE = {"registers": 8, "spills": 0, "code_bytes": 16, "loops": []}
REFUSED = {"error": "requires subgroups of 64; this device has 32"}


def line(name, subgroups, lanes, **compiled):
    return {
        "name": name,
        "kernel": "sweep",
        "subgroups": subgroups,
        "constants": {"LANES": lanes},
        "compiled": compiled,
    }


class Page(unittest.TestCase):
    compilers = [{"id": name, "what": name, "absent": None, "version": "1"} for name in ("ptxas", "nvk")]
    lines = [
        line("sweep-LANES8", False, 8, ptxas=MADE, nvk=MADE),
        line("sweep-subgroups-LANES64", True, 64, nvk=REFUSED),
    ]

    def test_pipelines_that_a_compiler_was_not_given_are_counted(self):
        page = table.overview(self.lines, self.compilers)
        self.assertIn("| ptxas | ptxas | 1 | 1 | 0; 1 for subgroups of 64 are not given to it | 0 |", page)
        self.assertIn(f"| nvk | nvk | 1 | 1 | 1: {REFUSED['error']} | 0 |", page)

    def test_an_absent_compiler_was_given_nothing(self):
        absent = [{"id": "anv", "what": "anv", "absent": "no flex", "version": None}]
        self.assertIn("| anv | anv | absent: no flex | 0 | 0 | 0 |", table.overview(self.lines, absent))

    def test_another_size_of_subgroups_is_not_a_failure(self):
        self.assertEqual(table.failed(self.lines, "nvk"), [])
        crashed = [line("sweep-LANES8", False, 8, nvk={"error": "the driver crashed"})]
        self.assertEqual(table.failed(crashed, "nvk"), [("sweep-LANES8", "the driver crashed")])


if __name__ == "__main__":
    unittest.main()
