"""Checks that the paths in the documents for developers exist.

Run by `python3 -m unittest discover tests/prose`.
"""

import itertools
import re
import unittest

from check import ROOT

DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md")
# `src/plan/`, `bindings/{c,web}/`; not `shaders/NAME.wgsl` or a path with a pattern.
PATH = re.compile(r"`((?:\.?[\w-]+/)[\w.{},/-]*)`")
# What a build makes.
MADE = ("target/",)


def expanded(path):
    """Returns the paths of one with braces: `a/{b,c}.rs` is two."""
    parts = [part.split(",") for part in re.split(r"[{}]", path)]
    fixed = [parts[i] if i % 2 else [",".join(parts[i])] for i in range(len(parts))]
    return ["".join(choice) for choice in itertools.product(*fixed)]


class Paths(unittest.TestCase):
    def test_every_path_exists(self):
        found = 0
        for document in DOCUMENTS:
            for path in PATH.findall((ROOT / document).read_text(encoding="utf-8")):
                for one in expanded(path):
                    if one.startswith(MADE) or re.search(r"[A-Z]{4}\.", one):
                        continue
                    found += 1
                    self.assertTrue((ROOT / one).exists(), f"{document} names {one}, which does not exist")
        self.assertGreater(found, 50)

    def test_braces_are_expanded(self):
        self.assertEqual(expanded("a/{b,c}/d"), ["a/b/d", "a/c/d"])
        self.assertEqual(expanded("a/b"), ["a/b"])


if __name__ == "__main__":
    unittest.main()
