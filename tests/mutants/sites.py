"""Finds the place of a mutation by the shape of the code around it, whatever its names are.

A site is a window of tokens in which every name of the project is `$`. Comments and line breaks
are not tokens. Therefore a site survives renamed identifiers, rewritten comments, other line breaks
and moved files: its window still occurs exactly once among all sources of its side. The sides are
the shaders and the CPU backend.

    {"left": "if (", "from": "$1 >= $2", "right": ") {", "to": "$1 > $2"}

`from` is what the mutation replaces. `to` is the replacement, where `$1` stands for the name at
`$1` in the window. `left` and `right` are as short as possible while the window is unique and
contains the names that `to` needs. A name that occurs only far away has its own window, in `names`.
"""

import bisect
import dataclasses
import difflib
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Words that keep their text in a window. Every other name is `$`. None of these may be a name that
# the project declares.
WGSL_WORDS = """
    alias break case const const_assert continue continuing default diagnostic discard else enable
    false fn for if let loop override requires return struct switch true var while
    array atomic bool f16 f32 i32 u32 ptr vec2 vec3 vec4 mat2x2 mat3x3 mat4x4
    uniform storage read_write workgroup_size global_invocation_id local_invocation_id
    local_invocation_index num_workgroups workgroup_id subgroup_size subgroup_invocation_id
"""
RUST_WORDS = """
    as async await break const continue crate dyn else enum extern false fn for if impl in let loop
    match mod move mut pub ref return self Self static struct super trait true type unsafe use where
    while _ bool char f32 f64 i8 i16 i32 i64 isize str u8 u16 u32 u64 usize f32x16 i32x16 mask32x16
    Option Some None Vec MAX MIN NAN INFINITY NEG_INFINITY
"""
# Functions and methods that keep their names where they are called.
WGSL_FUNCTIONS = """
    abs all any bitcast ceil clamp countOneBits countLeadingZeros countTrailingZeros dot exp exp2
    firstLeadingBit firstTrailingBit floor fma fract frexp inverseSqrt ldexp log log2 max min mix
    pow round select sign sqrt trunc
    atomicAdd atomicAnd atomicCompareExchangeWeak atomicExchange atomicLoad atomicMax atomicMin
    atomicOr atomicStore atomicSub arrayLength pack2x16float unpack2x16float
    storageBarrier workgroupBarrier workgroupUniformLoad subgroupAdd subgroupMax subgroupMin
    subgroupShuffle subgroupShuffleDown subgroupShuffleUp subgroupShuffleXor
"""
RUST_FUNCTIONS = """
    abs as_chunks clamp collect contains enumerate extend filter is_empty is_finite is_nan iter
    iter_mut len max min mul_add push resize saturating_sub select simd_eq simd_ge simd_gt simd_le
    simd_lt splat split_at split_at_mut sqrt step_by to_bits unwrap_or zip
"""
WORDS = {".wgsl": frozenset(WGSL_WORDS.split()), ".rs": frozenset(RUST_WORDS.split())}
FUNCTIONS = {".wgsl": frozenset(WGSL_FUNCTIONS.split()), ".rs": frozenset(RUST_FUNCTIONS.split())}

TOKEN = re.compile(
    r"""
    (?P<skip>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:\\.|[^"\\])*")
    |(?P<other>'(?:\\.|[^'\\])'                                            # a character
    |0[xX][0-9a-fA-F_]+[iu]?\w*|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?\w*  # a number
    |::|->|=>|<<=|>>=|\.\.=|\.\.|==|!=|<=|>=|&&|\|\||[-+*/%&|^]=)
    |(?P<name>'?[A-Za-z_]\w*)
    |(?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
SWIZZLE = re.compile("[xyzw]{1,4}")
# After these, rustfmt puts braces around a body or removes them, by its length.
BODY_FOLLOWS = ("=>", "|", "||")
# A separator before a closing bracket that rustfmt adds or removes.
LAST = {(",", ")"), (",", "]"), (",", "}"), (",", ">"), (";", "}")}
# Stand at the ends of a file. A site that is nearly the whole file needs them.
START, END = "<start>", "<end>"
# A name that is farther from the change, in tokens, has a window of its own.
FAR = 12
# Such a window has no more tokens beside the name, if possible.
WIDE = 24


class SiteError(Exception):
    """A site or a mutation that does not fit the sources."""


@dataclasses.dataclass(frozen=True)
class Token:
    text: str
    shape: str
    start: int
    end: int


def tokens_of(text, suffix):
    """Returns the tokens of `text`, each with its shape: `$` for a name of the project."""
    found = [match for match in TOKEN.finditer(text) if match.lastgroup != "skip"]
    words = ["", *(match.group() for match in found), ""]
    tokens = []
    for match, before, word, after in zip(found, words, words[1:], words[2:]):
        shape = word
        if match.lastgroup == "string":
            shape = '""'
        elif match.lastgroup == "name" and word not in WORDS[suffix]:
            is_call = after in ("(", "<", "::")
            is_swizzle = suffix == ".wgsl" and before == "." and SWIZZLE.fullmatch(word)
            shape = word if is_swizzle or (is_call and word in FUNCTIONS[suffix]) else "$"
        tokens.append(Token(word, shape, match.start(), match.end()))
    return tokens


def laid_out(tokens):
    """Removes the tokens that depend only on line breaks. Also returns the removed braces.

    These tokens are separators after the last element and, in Rust, the braces around the body of a
    match arm or of a closure.
    """
    # The shape that a token has instead of its own; an empty shape removes the token.
    shapes, opened, braces = {}, [], []
    for i, token in enumerate(tokens):
        if token.text == "{":
            opened.append(i)
        elif token.text == "}" and opened:
            first = opened.pop()
            before = tokens[first - 1].text if first else ""
            if before not in BODY_FOLLOWS:
                continue
            has_comma = i + 1 < len(tokens) and tokens[i + 1].text == ","
            shapes[first] = ""
            shapes[i] = "," if before == "=>" and not has_comma else ""
            braces.append((tokens[first].start, token.start))
    kept = []
    for i, token in enumerate(tokens):
        shape = shapes.get(i, token.shape)
        if not shape:
            continue
        if kept and (kept[-1].shape, shape) in LAST:
            kept.pop()
        kept.append(dataclasses.replace(token, shape=shape))
    return kept, braces


class Source:
    """A file, its tokens, and their shapes as one text to search in."""

    def __init__(self, name, text):
        self.name, self.text = name, text
        self.suffix = pathlib.PurePath(name).suffix
        tokens, self.braces = laid_out(tokens_of(text, self.suffix))
        start, end = Token("", START, 0, 0), Token("", END, len(text), len(text))
        self.tokens = [start, *tokens, end]
        self.shapes = " " + "".join(token.shape + " " for token in self.tokens)
        self.starts, at = [], 0
        for token in self.tokens:
            self.starts.append(at)
            at += len(token.shape) + 1

    def find(self, window):
        """Yields the indices of the tokens at which `window` begins."""
        at = self.shapes.find(f" {window} ")
        while at >= 0:
            yield bisect.bisect_left(self.starts, at)
            at = self.shapes.find(f" {window} ", at + 1)


@dataclasses.dataclass(frozen=True)
class Place:
    """The place of a site in the current sources, and the text that replaces it."""

    source: Source
    start: int
    end: int
    after: str

    @property
    def before(self):
        return self.source.text[self.start : self.end]

    @property
    def mutated(self):
        return self.source.text[: self.start] + self.after + self.source.text[self.end :]


class Side:
    """All sources that a site may be in."""

    def __init__(self, sources):
        self.sources = {source.name: source for source in sources}

    def find(self, window):
        """Returns the source and the index of the token for each place where `window` begins."""
        plain = re.sub(r"\$\d+", "$", " ".join(window))
        return [(source, at) for source in self.sources.values() for at in source.find(plain)]

    def places(self, site):
        """Yields every place that `site` matches. A valid site matches one."""
        parts = [site[part].split() for part in ("left", "from", "right")]
        window = sum(parts, [])
        first = len(parts[0])
        last = first + len(parts[1]) - 1
        names = {}
        for name, text in site.get("names", {}).items():
            words = text.split()
            found = self.find(words)
            source, at = one(found, [source for source, _ in found], text)
            names[name] = source.tokens[at + words.index(name)].text
        for source, at in self.find(window):
            here = {shape: source.tokens[at + i].text for i, shape in enumerate(window)}
            after = re.sub(r"\$\d+", lambda match: (here | names)[match.group()], site["to"])
            start, end = source.tokens[at + first].start, source.tokens[at + last].end
            yield Place(source, start, end, after)

    def place(self, site):
        """Returns the only place of `site`."""
        places = list(self.places(site))
        place = one(places, [place.source for place in places], site)
        for braces in place.source.braces:
            if len({place.start <= brace < place.end for brace in braces}) > 1:
                text = place.before
                raise SiteError(f"{place.source.name}: the change ends inside a body: {text!r}")
        return place

    def site(self, name, before, after, start=None):
        """Returns the shortest site of a change in the file `name`.

        The change is at `start`, or else at the only occurrence of `before`.
        """
        source = self.sources.get(name)
        if start is None:
            if source is None or source.text.count(before) != 1:
                raise SiteError(f"{name}: {before!r} does not occur exactly once")
            start = source.text.index(before)
        first, last, after = spread(source, start, before, after)
        new = replacement(source, first, last, after)
        near, far = self.origins(source, first, last, new)
        left = max([0, *(first - at for at in near.values())])
        right = max([0, *(at - last for at in near.values())])
        left, right = self.context(source, first, last, left, right)

        numbers = {at: f"${i + 1}" for i, at in enumerate(sorted(set(near.values())))}
        marks = {token: numbers[at] for token, at in near.items()}
        names = {}
        for token, (behind, ahead) in far.items():
            marks[token] = f"${len(numbers) + len(names) + 1}"
            names[marks[token]] = f"{behind} {marks[token]} {ahead}".strip()
        to, at = "", 0
        for token in new:
            to += after[at : token.start] + marks.get(token, token.text)
            at = token.end
        window = [
            numbers.get(at, source.tokens[at].shape) for at in range(first - left, last + 1 + right)
        ]
        end = len(window) - right
        parts = {"left": window[:left], "from": window[left:end], "right": window[end:]}
        site = {part: " ".join(words) for part, words in parts.items()} | {"to": to + after[at:]}
        return site | {"names": names} if names else site

    def origins(self, source, first, last, new):
        """Returns where each name of a replacement comes from.

        The first result has the index of the token that a name is copied from. The second has, for
        names that are far away, both sides of the window around an occurrence.
        """
        old = [token.text for token in source.tokens[first : last + 1]]
        matcher = difflib.SequenceMatcher(None, old, [token.text for token in new], autojunk=False)
        same = {
            b + k: first + a + k
            for a, b, size in matcher.get_matching_blocks()
            for k in range(size)
        }
        near, far = {}, {}
        for i, token in enumerate(new):
            if token.shape != "$":
                continue
            if i in same:
                near[token] = same[i]
                continue
            owner = [source.tokens[first - 2], source.tokens[first - 1], *new][i : i + 2]
            here = alike(source.tokens, token, owner)
            distance = {at: max(first - at, at - last) for at in here}
            closest = min(here, key=distance.get, default=None)
            if closest is not None and distance[closest] <= FAR:
                near[token] = closest
            else:
                far[token] = self.far(source, first, token, owner)
        return near, far

    def far(self, here, first, token, owner):
        """Returns the left and right side of a unique window around an occurrence of a name.

        Takes the nearest occurrence in the file `here`, because a local name may mean something
        else in another function. Other files and wide windows are the last resort.
        """
        windows = []
        for source in self.sources.values():
            shapes = [token.shape for token in source.tokens]
            for at in alike(source.tokens, token, owner):
                left, right = self.context(source, at, at, 0, 0)
                sides = (shapes[at - left : at], shapes[at + 1 : at + 1 + right])
                rank = (source is not here, left + right > WIDE, abs(at - first))
                windows.append((rank, *sides))
        if not windows:
            raise SiteError(f"no source has the name {token.text!r}, which the replacement needs")
        return [" ".join(side) for side in min(windows)[1:]]

    def context(self, source, first, last, least_left, least_right):
        """Returns how many tokens at the left and right make `first..=last` unique."""
        change = [token.shape for token in source.tokens[first : last + 1]]
        others = [
            (
                alike_for(source.tokens, first - 1, other.tokens, at - 1, -1),
                alike_for(source.tokens, last + 1, other.tokens, at + len(change), 1),
            )
            for other, at in self.find(change)
            if (other, at) != (source, first)
        ]
        widths = []
        for left in range(least_left, first + 1):
            # The right side excludes every other place that the left side does not exclude.
            right = max([least_right, *(r + 1 for l, r in others if l >= left)])
            if last + right < len(source.tokens):
                widths.append((left + right, abs(left - right), left, right))
        return min(widths)[2:]


def spread(source, start, before, after):
    """Returns the first and last token that `before` touches, and what replaces them as a whole."""
    end = start + len(before)
    touched = [
        i for i, token in enumerate(source.tokens) if token.end > start and token.start < end
    ]
    if not touched:
        raise SiteError(f"{source.name}: {before!r} has no code in it")
    first, last = touched[0], touched[-1]
    from_, to = source.tokens[first].start, source.tokens[last].end
    head, tail = before[: max(from_ - start, 0)], before[len(before) - max(end - to, 0) :]
    if not after.startswith(head) or not after[len(head) :].endswith(tail):
        raise SiteError(f"{source.name}: {before!r} begins or ends outside the code")
    inner = after[len(head) : len(after) - len(tail)]
    after = source.text[from_:start] + inner + source.text[end:to]
    if source.suffix == ".rs":
        return within_body(source, first, last, after)
    return first, last, after


def within_body(source, first, last, after):
    """Shrinks a change so that it does not cross the braces of a body."""
    old, new = source.tokens[first : last + 1], replacement(source, first, last, after)
    same = alike_for(old, 0, new, 0, 1)
    bodies = [i + 1 for i in range(same) if new[i].text in BODY_FOLLOWS]
    begin = bodies[-1] if bodies else 0
    same = alike_for(old, len(old) - 1, new, len(new) - 1, -1)
    end = 0
    while end < same and (old[-1 - end].text == "," or depth(old[begin : len(old) - end]) < 0):
        end += 1
    if begin + end >= min(len(old), len(new)):
        return first, last, after
    return first + begin, last - end, after[new[begin].start : new[-1 - end].end]


def depth(tokens):
    """Returns the number of opened brackets minus that of closed ones."""
    texts = [token.text for token in tokens]
    return sum(map(texts.count, "([{")) - sum(map(texts.count, ")]}"))


def replacement(source, first, last, after):
    """Returns the tokens of `after` where it replaces the tokens `first..=last`."""
    start, end = source.tokens[first].start, source.tokens[last].end
    text = source.text[:start] + after + source.text[end:]
    return [
        dataclasses.replace(token, start=token.start - start, end=token.end - start)
        for token in tokens_of(text, source.suffix)
        if start <= token.start < start + len(after)
    ]


def alike_for(mine, i, theirs, k, step):
    """Returns the number of equal shapes from `mine[i]` and `theirs[k]` on."""
    count = 0
    while 0 <= i < len(mine) and 0 <= k < len(theirs) and mine[i].shape == theirs[k].shape:
        count, i, k = count + 1, i + step, k + step
    return count


def alike(tokens, token, owner):
    """Returns where the name of `token` occurs, if possible as a member of the same owner.

    `owner` is the two tokens before `token`.
    """
    at = [i for i, other in enumerate(tokens) if other.text == token.text and other.shape == "$"]
    if owner[1].text != ".":
        return [i for i in at if tokens[i - 1].text != "."]
    members = [i for i in at if tokens[i - 1].text == "."]
    return [i for i in members if tokens[i - 2].text == owner[0].text] or members


def one(found, sources, what):
    """Returns the only element of `found`. `sources` are the files of its elements."""
    if len(found) != 1:
        where = ", ".join(source.name for source in sources) or "no file"
        raise SiteError(f"matches {len(found)} places instead of 1 ({where}): {what}")
    return found[0]
