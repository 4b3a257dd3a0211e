#!/usr/bin/env python3
"""Finds bad English in comments, documentation and messages.

Prints `file:line: pattern: line` for each hit and the number of hits per pattern, and exits with 1
if there is one. `allow.txt` lists the exceptions; an exception that matches nothing is an error.

    check.py [--count] [PATH…]

`--count` prints only the counts, per pattern and area. With a PATH, only the files below it count.
"""

import argparse
import collections
import os
import re
import subprocess
import sys
from pathlib import Path

from extract import CODE, prose

ROOT = Path(__file__).resolve().parents[2]
ALLOW = Path(__file__).with_name("allow.txt")
WIDTH = 100

# Recorded results, and what fuzzers and package managers wrote.
EXCLUDED = re.compile(
    r"^(benches/results/|fuzz/corpus/|tests/mutants/results\.md)|(^|/)(\.git|target|node_modules|dist)/"
)

# What is counted, and per what: `one row a frame`.
COUNTED = """
    adapter argument barrier batch binding bit block branch buffer byte call case character chunk
    class column command comment component constant conversion copy core cycle dispatch division
    draw element epoch exponential factor field figure file flag float folder frame function gather
    gradient group idea instruction invocation item iteration job kernel key label lane launch
    length line list load logit loop loss machine mask nat number page pair pass path peer pipeline
    pixel place process program quad read result row second sector seed sentence sequence shader
    shape shuffle slot span stage state status step store subgroup sum switch synchronisation table
    target test text thread tile time token value variant vector weight window word workgroup write
""".split()
PLURAL = [noun + ("es" if noun.endswith(("s", "sh", "ch")) else "s") for noun in COUNTED]
UNITS = ["B", "µs", "ns", "ms", "KiB", "MiB", "GiB", "GB"]
PER = [*COUNTED, *"axis crate device direction entry GPU group round run task user worker".split()]
# Of these the plural is never a verb and needs no number before it: `rows a frame`.
PLAIN = "bytes classes entries floats frames items labels lanes nats rows seconds words".split()
# Per one of these `one a frame` and `once a frame.` are never "one, a frame".
SMALL = "batch class core cycle epoch frame item label lane row shape step".split()
DIGITS = r"\d+(?:[.,]\d+)*(?:e-?\d+)?"
MANY = (
    r"(?:two|three|four|five|six|seven|eight|ten|no|some|several|few|more|fewer"
    rf"|a\s+(?:hundred|thousand|million)|(?-i:[B-Z])|{DIGITS})"
)

# "is no longer", "is no worse than": not a noun. The rest is idiom.
NOT_A_NOUN = """
    longer more less fewer better worse faster slower larger smaller greater higher lower later
    earlier sooner wider narrower shorter closer dearer cheaper heavier other such one matter
    different reason guarantee
""".split()

# Things that do not talk; their plurals too. Before `says` and the like any word is one.
THINGS = """
    adapter answer argument array backend batch bit browser buffer byte case class command compiler
    constant crate device driver environment error feature field file flag format frame function
    header implementation item kernel key label length library line list loader log message model
    name network number option package page parameter plan program reference report result row run
    script server shader shape sheet signal source specification stage status suite table target
    test text tool type value version GPU WGSL Vulkan WebGPU wgpu naga Burn Keras TensorFlow
    PyTorch torchaudio JAX optax Mesa README
""".split()
PERSONS = """
    I we you they who whoever he she nobody somebody anybody everybody no-one someone anyone
    everyone person people user users caller callers reader readers author authors contributor
    newcomer maintainers one
""".split()
ADVERB = r"(?:also|only|never|always|itself|already|still|then|just|not)"

# The project's old private words and what replaces them. Add a pair of regular expression and word.
PRIVATE = [
    (r"twins?|twin's", "CPU backend"),
    (r"verdicts?", "status, result"),
    (r"spoilers?", "corruption"),
    (r"strangers?", "foreign workload, another program"),
    (r"greedy\s+readings?|a\s+reading\s+of(?!\s+the)", "hypothesis, greedy path"),
    (r"readings(?!\s+of\s+the\s+logits)", "hypotheses"),
    (r"the\s+meet", "join"),
]

PHRASES = [
    r"(?:comes?|came|coming)\s+again",
    r"(?:is|are|was|be)\s+used\s+again|uses?\s+again",
    r"(?:is|are|was|be)\s+to\s+be\s+had",
    r"(?<!if\s)(?<!If\s)there\s+(?:is|are|was|were)(?:\s+not)?(?=[.,;:)])",
    r"[Ss]o\s+(?:it\s+)?is\s+(?:it\s+)?with",
    r"let(?:s|ting)?\s+(?:\w+\s+)?go(?=[\s.,;:)])(?!\s+(?:through|into|from|past|beyond))",
    r"(?:go|goes|going|gone|went)\s+round",
    r"be\s+(?:it|they)(?=\s+(?:an?|the|on|in|of|by|for)\b)",
    r"of\s+a\s+kind\s+with",
]


def words(*alternatives, before=""):
    """Joins alternatives; a word next to `/`, `.rs` or `::` is a path and not prose."""
    return rf"{before}(?<![\w/:.-])(?:" + "|".join(alternatives) + r")(?![\w/]|::|\.\w|-\w)"


def either(nouns):
    return "(?:" + "|".join(nouns) + ")"


def patterns():
    """Returns (name, regular expression) pairs; each expression is searched in whole paragraphs."""
    one, many = either([*COUNTED, "entry", "index"]), either([*PLURAL, *UNITS, "entries", "indices"])
    per, small = rf"an?\s+{either(PER)}(?!')", rf"an?\s+{either(SMALL)}(?!')"
    # Up to two adjectives, none of which ends a noun phrase: `one private row a frame`.
    others = "of|to|in|on|at|by|for|and|or|is|are|that|which|with|from|as|per|than|an?"
    adjectives = rf"(?:(?!(?:{others})\s)[\w-]+\s+){{0,2}}?"
    says, say = "says|tells|asks|hears|knows|wants", "say|tell|ask|hear|know|want"
    modal = (
        r"(?:do(?:es)?\s+not|did\s+not|cannot|can|could|may|must|will|would|should)"
        r"(?:\s+(?:not|only|never))?"
    )
    thing = "".join(rf"(?<!\b(?i:{person})\s)" for person in PERSONS)
    things = either([*(f"{noun}(?:es|s)?" for noun in THINGS), CODE])
    several = either([f"{noun}(?:es|s)" for noun in THINGS])
    talks = [
        words(says, before=thing),
        words(rf"{modal}\s+(?:{say})", before=thing),
        rf"(?<![\w/.]){things}\s+(?:{ADVERB}\s+)?(?:said|told|asked|heard|knew|wanted)\b(?!\s+apart)",
        rf"(?<![\w/.]){several}\s+(?:{ADVERB}\s+)?(?:{say})\b",
        r"\b(?:is|are|was|were|be|been|being)\s+(?:not\s+|best\s+)?(?:told|asked)\b(?!\s+apart)",
        r"\b(?:if|unless|as|until)\s+(?:not\s+)?(?:told|asked)\b",
        r"\b(?:is|are|be)\s+said\b",
        rf"\b(?:which|that)\s+(?:{say})\b",
        rf"(?:\b(?:is|has|have|be|left|enough)|\bfor\s+\S+)\s+to\s+(?:say|tell)\b",
        r"\b(?:ask|asked|asking)\s+(?:for|of)\b",
        r"\b(?:tell|told|telling|hear|heard)\s+of\b",
    ]
    rates = [
        rf"(?:an?|one|no)\s+{adjectives}{one}\s+{per}",
        rf"{MANY}\s+{adjectives}{many}\s+{per}",
        rf"many\s+{many}\s+{per}(?=[,.;:)])",
        rf"(?<!whose\s)(?<!which\s)(?<!what\s)(?<!\bthe\s){either([*PLAIN, *UNITS])}\s+{per}",
        rf"(?:one|two|three|four|{DIGITS})\s+{small}",
        rf"(?:once|twice)\s+{small}(?=\s*(?:[.,;:)]|$))",
    ]
    is_no = (
        r"(?<!\bthere\s)(?<!\bThere\s)\b(?:is|are|was|were)\s+no\s+"
        rf"(?!{either(NOT_A_NOUN)}\b)(?:\w|{CODE})"
    )
    return [
        ("a-X-a-Y", re.compile(words(*rates), re.IGNORECASE)),
        ("is-no-X", re.compile(is_no)),
        ("talking-thing", re.compile("|".join(talks))),
        ("riddle", re.compile(words(*PHRASES))),
        ("private-word", re.compile(words(*(word for word, _ in PRIVATE)), re.IGNORECASE)),
    ]


# At the beginning of a doc comment, where a verb or a noun phrase belongs.
OPENER = re.compile(r"\s*(?:What|Whether|Where|Who|Whose|Which|How often|How many|How much|How long)\b")
PATTERNS = patterns()
NAMES = [*(name for name, _ in PATTERNS), "doc-opener", "width"]
LINK_ONLY = re.compile(r"\s*(?:[-*>]\s+)?(?:!?\[[^\]]*\]\([^)]*\)|\[[^\]]+\]:\s.*)[.,;]?\s*$")

Hit = collections.namedtuple("Hit", "file line pattern text")


def hits(file, text):
    """Returns the sorted hits in a file's text; at most one of each pattern per line."""
    rows = text.split("\n")
    found = set()
    for part in prose(file, text):
        for name, expression in PATTERNS:
            for match in expression.finditer(part.text):
                found.add((part.line(match.start()), name))
        if part.doc and OPENER.match(part.text):
            found.add((part.line(0), "doc-opener"))
        if part.wraps:
            found.update((number, "width") for number in part.numbers if too_wide(rows[number - 1]))
    return [Hit(file, number, name, rows[number - 1].strip()) for number, name in sorted(found)]


def too_wide(row):
    bare = re.sub(r"^\s*(?://!|///?|#:?|\*)?\s*", "", row)
    exempt = bare.startswith("|") or "://" in row or LINK_ONLY.match(bare)
    return len(row) > WIDTH and not exempt


def tracked(root):
    """Returns the files that git tracks; in a package, which has no git, all files."""
    command = ["git", "-C", str(root), "ls-files", "-z"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        listed = listed.split("\0")
    except (OSError, subprocess.CalledProcessError):
        listed = []
    if not any(listed):
        listed = [path.relative_to(root).as_posix() for path in root.rglob("*")]
    return sorted(file for file in listed if not EXCLUDED.search(file) and (root / file).is_file())


def allowed(path):
    """Reads the exceptions: (pattern, file, fragment) to the number of the line."""
    entries = {}
    for number, row in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if row.strip() and not row.startswith("#"):
            parts = [part.strip() for part in row.split(" | ")]
            if len(parts) != 4 or parts[0] not in NAMES or not all(parts):
                raise SystemExit(f"{path.name}:{number}: expected `pattern | file | fragment | reason`")
            entries[tuple(parts[:3])] = number
    return entries


def without_allowed(found, entries):
    """Returns the hits that no entry covers, and the entries that cover none."""
    used = set()
    rest = []
    for hit in found:
        covering = {key for key in entries if key[:2] == (hit.pattern, hit.file) and key[2] in hit.text}
        used |= covering
        if not covering:
            rest.append(hit)
    return rest, [key for key in entries if key not in used]


def within(file, path):
    return path == "." or file == path or file.startswith(path + "/")


def area(file):
    parts = file.split("/")
    if len(parts) == 1:
        return file.removesuffix(".md") if file.endswith(".md") else "other"
    if parts[0] in ("bindings", "crates"):
        return "/".join(parts[:2])
    return "other" if parts[0].startswith(".") else parts[0]


def counts(found):
    """Returns a table of the hits per area and pattern."""
    cells = collections.Counter((area(hit.file), hit.pattern) for hit in found)
    areas = sorted({name for name, _ in cells})
    table = [["", *NAMES, "all"]]
    for name in areas:
        table.append([name, *(cells[name, pattern] for pattern in NAMES)])
    table.append(["all", *(sum(cells[name, pattern] for name in areas) for pattern in NAMES)])
    for row in table[1:]:
        row.append(sum(row[1:]))
    return "\n".join(f"{row[0]:<18}" + "".join(f"{cell:>15}" for cell in row[1:]) for row in table)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", action="store_true", help="print only the counts")
    parser.add_argument("paths", nargs="*", metavar="PATH", help="read only what is below these")
    options = parser.parse_args(arguments)
    below = [os.path.relpath(path, ROOT) for path in options.paths]
    chosen = [file for file in tracked(ROOT) if not below or any(within(file, path) for path in below)]

    found = []
    for file in chosen:
        try:
            found += hits(file, (ROOT / file).read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
    rest, unused = without_allowed(found, allowed(ALLOW))
    unused = [key for key in unused if not below or key[1] in chosen]

    if not options.count:
        for hit in rest:
            print(f"{hit.file}:{hit.line}: {hit.pattern}: {hit.text}")
    for pattern, file, fragment in unused:
        print(f"tests/prose/allow.txt: matches nothing: {pattern} | {file} | {fragment}")
    if options.count:
        print(counts(rest))
    else:
        number = collections.Counter(hit.pattern for hit in rest)
        print(", ".join(f"{name} {number[name]}" for name in NAMES), f"in {len(chosen)} files")
    return 1 if rest or unused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
