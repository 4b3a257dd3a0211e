"""Shows that each pattern finds what it is for and nothing else, in every kind of file."""

import io
import tempfile
import unittest
from contextlib import redirect_stdout
from pathlib import Path
from unittest.mock import patch

import check
from extract import prose

BAD = {
    "a-X-a-Y": [
        "A file a stage.",
        "One row a frame.",
        "It keeps 4 entries a lane and 2.5 ns a frame.",
        "A vector of four, one private row\na frame.",
        "The rows a frame has room for: rows a frame.",
        "Weights, one an item.",
        "It decodes once, not a thousand times an epoch.",
        "How many steps a page, and how many frames a chunk.",
        "There is no barrier a step.",
        "It is planned once a shape.",
        "P places a lane, and as much as 1e-6 a frame.",
    ],
    "is-no-X": ["A label that is no class.", "`code` is no status", "These are no `f32`."],
    "talking-thing": [
        "The header says what goes in.",
        "`install.sh` tells what is linked.",
        "[`is_shared`](Self::is_shared) says so.",
        "An error that says how.",
        "What every subcommand asks for.",
        "The options ask for no reduction.",
        "A type that naga 30 does not know.",
        "The driver told its version.",
        "It is asked at once, and is told of it.",
        "Ask for it.\nOne is asked for.",
        "The guide tells of ordering.",
        "Constants that say so.",
        "Nothing is said of the frames, unless told otherwise.",
        "What it holds is for `input` to say.",
        "An item's bits must not tell which it was.",
    ],
    "riddle": [
        "A shape that comes again allocates nothing.",
        "The memory is used again.",
        "No adapter is to be had.",
        "It returned status 7, which there is not.",
        "More than there are, or fewer.",
        "So it is with NaN.",
        "The thread lets it go.",
        "An invocation goes round its loops.",
        "The best adapter, be it a software driver.",
        "This is of a kind with that.",
    ],
    "private-word": [
        "The CPU twin.",
        "Twins of the stages.",
        "The verdict in one line.",
        "A spoiler of the batch.",
        "A stranger on the GPU.",
        "A greedy reading has none.",
        "What the meet writes.",
    ],
}
GOOD = [
    "One file per stage, and one row per frame.",
    "Gives each class a slot; a kernel writes a row.",
    "The row a lane reads, whose rows a workgroup writes.",
    "Of a batch an item's frames are read once a second.",
    "Without one a GPU is used; once a frame is read, it is kept.",
    "There is no path. There are no labels; is there no loader?",
    "It is no longer so, and is no more than 3 and no worse than before.",
    "Nobody knows; a caller knows, and the user wants two.",
    "The user does not know. You must tell us.",
    "An unknown name is not known to the driver.",
    "Two colours that are told apart.",
    "If there is, it is used; what there is in the file.",
    "It goes through the loop. Let it run.",
    "Reading a file; two readings of the logits.",
    "The target `twin` in fuzz/src/twin.rs and twin::every_row, or a `verdict`.",
]


def names(file, text):
    return [hit.pattern for hit in check.hits(file, text)]


def lines(file, text):
    return [(hit.line, hit.pattern) for hit in check.hits(file, text)]


class Patterns(unittest.TestCase):
    def test_each_is_found(self):
        for name, samples in BAD.items():
            for sample in samples:
                with self.subTest(sample):
                    self.assertEqual(set(names("README.md", sample)), {name})

    def test_good_english_is_not(self):
        for sample in GOOD:
            with self.subTest(sample):
                self.assertEqual(names("README.md", sample), [])

    def test_each_private_word_has_a_replacement(self):
        for word, better in check.PRIVATE:
            self.assertTrue(word and better)

    def test_every_name_is_tested(self):
        self.assertEqual({*BAD, "doc-opener", "width"}, set(check.NAMES))

    def test_doc_comments_that_begin_with_a_question(self):
        for word in ["What", "Whether", "Where", "Who", "Which", "How often", "How many"]:
            with self.subTest(word):
                self.assertEqual(names("src/a.rs", f"/// {word} it is.\n/// More."), ["doc-opener"])
        self.assertEqual(lines("src/a.rs", "//! What it is.\n\n/// The rest.\n/// What it is."), [(1, "doc-opener")])
        self.assertEqual(lines("a.py", 'def f():\n    """\n    Whether it is."""\n'), [(3, "doc-opener")])
        self.assertEqual(lines("a.c", "/** Where it is. */\n/* Where it is. */"), [(1, "doc-opener")])
        self.assertEqual(lines("a.wgsl", "// How many there were of it.\nfn f() {} // What it is."), [(1, "doc-opener")])
        self.assertEqual(names("src/a.rs", "// What it is.\n/// Returns what it is.\n/// However it is."), [])

    def test_width(self):
        long = "word " * 21
        self.assertEqual(lines("a.md", f"short\n{long}"), [(2, "width")])
        self.assertEqual(lines("a.rs", f"/// {long}\nfn f() {{}} // {long}"), [(1, "width"), (2, "width")])
        for right in [f"| {long} |", f"https://example.org {long}", f"- [{long}](there.md)", f"```\n{long}\n```"]:
            with self.subTest(right):
                self.assertEqual(names("a.md", right), [])
                self.assertEqual(names("a.rs", "\n".join("/// " + row for row in right.split("\n"))), [])
        self.assertEqual(names("src/a.rs", f'let a = "{long}";'), [])
        self.assertEqual(names("a.c", f"int {'a' * 100} = /* the second: */ 1;"), [])
        self.assertEqual(names("a.md", "é" * 100), [])


class Files(unittest.TestCase):
    def test_comments(self):
        for file, text in {
            "a.rs": "let a = '\"'; let b = 'x; // The twin.\n/* and\n the twin */ r#\"// a twin\"#;",
            "a.wgsl": "fn f() {} // The twin.\n/* and\n the twin */",
            "a.js": "const a = /[/\"]/g; // The twin.\n/* and\n the twin */ `${b ? `//` : ''} twin`",
            "a.css": "a {} /* The twin. */\n/* and\n the twin */",
            "a.c": "int a = '\"'; // The twin.\n/* and\n the twin */ \"a twin\"",
            "a.py": "a = '#' # The twin.\nb = 1\n# the twin\n",
            "a.sh": "echo $# \"#\" # The twin.\ntrue\n# the twin",
            "test": "#!/usr/bin/env bash\n# The twin.\n\n# the twin",
            "a.toml": "a = '#' # The twin.\nb = 1\n# the twin",
            "a.yml": "a: b # The twin.\nb: it's\n# the twin",
        }.items():
            with self.subTest(file):
                first = 2 if file == "test" else 1
                last = 4 if file == "test" else 3
                self.assertEqual(lines(file, text), [(first, "private-word"), (last, "private-word")])

    def test_adjacent_comments_are_one_paragraph(self):
        self.assertEqual(lines("a.rs", "// One row\n// a frame."), [(1, "a-X-a-Y")])
        self.assertEqual(names("a.rs", "// One row\n\n// a frame."), [])
        self.assertEqual(names("a.rs", "// One row\n//\n// a frame."), [])
        self.assertEqual(names("a.rs", "let a = 1; // one row\nlet b = 2; // a frame"), [])

    def test_messages(self):
        text = '#[error("label {label} of item {item} is no class")]\n'
        self.assertEqual(lines("src/error.rs", text), [(1, "is-no-X")])
        self.assertEqual(lines("src/a.rs", 'f("a text \\\n   of the\\ntwin")'), [(2, "private-word")])
        self.assertEqual(names("tests/host/a.rs", text), [])
        self.assertEqual(names("src/a.rs", 'f("the twin")'), [], "too short for a message")
        self.assertEqual(lines("benches/a.py", 'f("a long text of one row "\n  f"a frame")'), [(1, "a-X-a-Y")])
        self.assertEqual(lines("a.sh", 'echo "it runs on the CPU twin"'), [(1, "private-word")])
        self.assertEqual(lines("bindings/web/src/a.rs", 'r#"\n/** Where it is. */"#'), [(2, "doc-opener")])

    def test_markdown(self):
        self.assertEqual(names("a.md", "```rust\ntwin(); // one\n```\n\n```\nthe twin\n```"), [])
        self.assertEqual(lines("a.md", "```rust\n\ntwin(); // the twin\n```\n# twin"), [(3, "private-word"), (5, "private-word")])
        self.assertEqual(lines("a.rs", "/// ```\n/// f(); // the twin\n/// ```"), [(2, "private-word")])
        self.assertEqual(names("a.md", "| one row | a frame |\n[row](twin.md)"), [])
        self.assertEqual(names("a.md", "<!-- bench:begin -->\nthe twin\n<!-- bench:end -->"), [])

    def test_html(self):
        page = '<p title="one\n twin">A <b>file</b>\na stage</p>\n<p>One row</p>\n<p>a frame</p><script>twin</script>'
        self.assertEqual(lines("a.html", page), [(1, "private-word"), (2, "a-X-a-Y")])

    def test_what_is_not_read(self):
        for file in ["a.json", "a.lock", "a.txt", "LICENSE-MIT"]:
            self.assertEqual(prose(file, "# The twin."), [])
        for file in ["benches/results/a.md", "fuzz/corpus/a.md", "a/node_modules/b.md", "target/doc/a.md", ".git/hooks/a.sh"]:
            self.assertTrue(check.EXCLUDED.search(file))
        for file in ["benches/README.md", "tests/data/golden/README.md", "src/target.rs"]:
            self.assertFalse(check.EXCLUDED.search(file))


class Program(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        (self.root / "src").mkdir()
        (self.root / "src/a.rs").write_text("// The twin.\n// A label that is no class.\n")
        (self.root / "README.md").write_text("All is well.\n")
        self.allow = self.root / "allow.txt"
        self.allow.write_text("# pattern | file | fragment | reason\n")

    def run_check(self, *arguments):
        with patch.multiple(check, ROOT=self.root, ALLOW=self.allow), redirect_stdout(io.StringIO()) as out:
            return check.main(arguments), out.getvalue()

    def test_hits_are_printed_and_counted(self):
        status, out = self.run_check()
        self.assertEqual(status, 1)
        self.assertIn("src/a.rs:1: private-word: // The twin.\nsrc/a.rs:2: is-no-X: // A label", out)
        self.assertIn("is-no-X 1, ", out)
        status, out = self.run_check("--count")
        self.assertEqual(status, 1)
        self.assertRegex(out, r"src( +\d){8}\nall( +\d){8}")
        self.assertEqual(self.run_check(str(self.root / "README.md"))[0], 0)
        self.assertEqual(self.run_check(str(self.root / "src"))[0], 1)

    def test_the_files_are_those_of_the_repository(self):
        self.assertTrue("tests/prose/check.py" in check.tracked(check.ROOT))
        self.assertEqual(check.tracked(self.root), ["README.md", "allow.txt", "src/a.rs"])

    def test_allowed_hits_do_not_count(self):
        self.allow.write_text(
            "private-word | src/a.rs | The twin | two people\nis-no-X | src/a.rs | that is no class | a quotation\n"
        )
        self.assertEqual(self.run_check()[0], 0)

    def test_an_exception_that_matches_nothing_is_an_error(self):
        (self.root / "src/a.rs").write_text("")
        self.allow.write_text("private-word | src/a.rs | The twin | two people\n")
        status, out = self.run_check()
        self.assertEqual(status, 1)
        self.assertIn("allow.txt: matches nothing: private-word | src/a.rs | The twin", out)
        self.assertEqual(self.run_check(str(self.root / "README.md"))[0], 0)

    def test_an_exception_needs_a_reason(self):
        for wrong in ["private-word | src/a.rs | The twin", "twin | src/a.rs | The twin | two people"]:
            self.allow.write_text(wrong)
            with self.assertRaises(SystemExit):
                self.run_check()


if __name__ == "__main__":
    unittest.main()
