"""Extracts what a person reads from a file: paragraphs of comments, documentation and messages."""

import ast
import re

# Stands for a code span or for a placeholder in a message.
CODE = "\ue000"
# Ends a phrase: no pattern matches across it.
BREAK = "\ue001"

# By the name's extension.
LANGUAGES = {
    **dict.fromkeys(["c", "h", "cpp"], "c"),
    **dict.fromkeys(["js", "mjs", "ts"], "js"),
    **dict.fromkeys(["py", "pyi"], "python"),
    **dict.fromkeys(["sh", "yml", "yaml"], "shell"),
    **{"css": "css", "rs": "rust", "toml": "toml", "wgsl": "wgsl"},
}
# By the first word after the fence of a code block in Markdown.
FENCES = {
    **{name: name for name in ["c", "js", "python", "rust", "toml", "wgsl"]},
    **dict.fromkeys(["no_run", "ignore", "should_panic"], "rust"),
    **{"cpp": "c", "javascript": "js", "ts": "js", "sh": "shell", "bash": "shell"},
}

DOUBLE, SINGLE = r'"(?:\\.|[^"\\\n])*"', r"'(?:\\.|[^'\\\n])*'"
C_COMMENT = r"(?P<comment>//[^\n]*|/\*.*?\*/)"
HASH_COMMENT = r"(?P<comment>(?:(?<=\s)|^)\#[^\n]*)"
TEMPLATE = r"`(?:\\.|\$\{(?:[^{}`]|`[^`]*`|\{[^{}]*\})*\}|[^`\\])*`"
REGEX = r"[=(,:!&|?\[{;]\s*/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/"
RUST_STRING = r'b?r(?P<hashes>\#*)".*?"(?P=hashes)|[bc]?"(?:\\.|[^"\\])*"'
RUST_CHAR = r"'(?:\\[^']+|[^'\\])'"
PYTHON_STRING = rf'[a-zA-Z]{{0,2}}(?:"""(?:\\.|.)*?"""|{DOUBLE}|{SINGLE})'
TOKENS = {
    "rust": rf"{C_COMMENT}|(?P<string>{RUST_STRING})|{RUST_CHAR}",
    "wgsl": C_COMMENT,
    "css": C_COMMENT,
    "js": rf"{C_COMMENT}|(?P<string>{DOUBLE}|{SINGLE}|{TEMPLATE})|{REGEX}",
    "c": rf"{C_COMMENT}|(?P<string>{DOUBLE})|{SINGLE}",
    "python": rf"(?P<comment>\#[^\n]*)|(?P<string>{PYTHON_STRING})",
    "shell": rf"{HASH_COMMENT}|(?P<string>{DOUBLE}|'[^'\n]*')",
    "toml": rf"{HASH_COMMENT}|(?P<string>{DOUBLE}|'[^'\n]*')",
}
TOKENS = {name: re.compile(token, re.DOTALL | re.MULTILINE) for name, token in TOKENS.items()}
MARKER = re.compile(r"\s*(///(?!/)|//!|//+|/\*\*(?!/)|/\*!?|#:|#+!?|\*(?!\*|/))?")

DOC_MARKERS = ("///", "//!", "/**", "#:")

# Whose strings a user may read: not those of tests.
MESSAGES = re.compile(
    r"^(?:src|examples|benches|bindings/[^/]+/(?:src|python|www|examples))/"
    r"|^(?:demo|test|\.ci/run)$|\.sh$|(?:^|/)Cargo\.toml$"
)
TESTS = re.compile(r"/(?:tests?/|tests?\.rs$|test_)")
# Shorter strings, and those without a space, are names.
SHORTEST = 20


class Paragraph:
    """Adjacent lines of prose. `doc`: begins a doc comment. `wraps`: must keep to the width."""

    def __init__(self, lines, doc=False, wraps=True):
        self.numbers = [number for number, _ in lines]
        self.text = plain("\n".join(text for _, text in lines))
        self.doc, self.wraps = doc, wraps

    def line(self, offset):
        """Returns the number of the line that holds the character at `offset`."""
        return self.numbers[self.text.count("\n", 0, offset)]


def plain(text):
    """Replaces code spans, and removes links' targets and emphasis; keeps the line breaks."""
    span = re.compile(r"(`+)(?!`).+?(?<!`)\1(?!`)", re.DOTALL)
    text = span.sub(lambda match: CODE + "\n" * match[0].count("\n"), text)
    text = re.sub(r"\]\([^)\s]*\)|\]\[[^\]\s]*\]", "]", text)
    return re.sub(r"[\[\]*]", "", text)


def prose(file, text):
    """Returns the paragraphs of a file; none if it is of a kind that is not read."""
    extension = file.rsplit(".", 1)[-1] if "." in file.rsplit("/", 1)[-1] else ""
    lines = list(enumerate(text.split("\n"), 1))
    if extension == "md":
        return markdown(written(lines))
    if extension == "html":
        return html(text)
    language = LANGUAGES.get(extension, "shell" if re.match(r"#!.*\b(?:bash|sh)\b", text) else None)
    if language is None or file.endswith("-lock.yaml"):
        return []
    return code(lines, language, MESSAGES.search(file) and not TESTS.search(file), docstrings(text, language))


def written(lines):
    """Blanks what a script inserted, with its figures, between `<!-- name:begin -->` and `:end`."""
    found, inserted = [], False
    for number, text in lines:
        inserted = ":begin -->" in text or inserted and ":end -->" not in text
        found.append((number, "" if inserted else text))
    return found


def markdown(lines, language=None, doc=False):
    """Splits Markdown into paragraphs; of code blocks, only the comments."""
    found, current, block, fence = [], [], [], None

    def end():
        nonlocal current, doc
        if current:
            found.append(Paragraph(current, doc))
            current, doc = [], False

    for number, text in lines:
        mark = re.match(r"\s*(```+|~~~+)\s*(.*)", text)
        if fence is not None:
            if mark and not mark[2]:
                found.extend(code(block, fence))
                block, fence = [], None
            else:
                block.append((number, text))
        elif mark:
            end()
            fence = language if not mark[2] else FENCES.get(re.split(r"[\s,{]", mark[2])[0], "")
            fence = fence or ""
        elif not text.strip():
            end()
        elif re.match(r"\s*#+ ", text):
            end()
            current = [(number, text)]
            end()
        else:
            current.append((number, text))
    end()
    return found


def html(text):
    """Extracts the text of a page and of the attributes that users read."""
    read = re.compile(r'\b(?:content|title|alt|placeholder|aria-label)="([^"]*)"')
    inline = re.compile(r"</?(?:a|b|em|i|strong|span|abbr|sub|sup|q)\b")

    def replaced(match):
        if match[0].startswith("<code"):
            kept = CODE
        elif match["element"]:
            kept = BREAK
        else:
            kept = " " if inline.match(match[0]) else BREAK
            kept += BREAK.join(read.findall(match[0])).replace("\n", " ")
        return kept + "\n" * match[0].count("\n")

    markup = r"<(?P<element>script|style|code)\b.*?</(?P=element)>|</?[a-z!][^>]*>|<!--|-->"
    text = re.sub(markup, replaced, text, flags=re.DOTALL)
    return [Paragraph(list(enumerate(text.split("\n"), 1)), wraps=False)]


def docstrings(text, language):
    """Returns the numbers of the lines where docstrings begin."""
    if language != "python":
        return set()
    scopes = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, scopes)]
    return {node.body[0].lineno for node in nodes if ast.get_docstring(node) is not None}


def code(lines, language, messages=False, docs=()):
    """Extracts the comments, docstrings and, with `messages`, the strings of a program."""
    if language not in TOKENS:
        return []
    text = "\n".join(row for _, row in lines)
    found, comment, string, string_end = [], None, [], 0

    def end():
        nonlocal comment
        if comment:
            marker, doc, rows = comment
            found.extend(markdown(rows, language if doc else None, doc))
            comment = None

    position, row = 0, 0
    for token in TOKENS[language].finditer(text):
        row += text.count("\n", position, token.start())
        position = token.start()
        rows = [(lines[row + i][0], part) for i, part in enumerate(token[0].split("\n"))]
        if token.lastgroup == "comment":
            marker = MARKER.match(token[0])[1]
            if marker == "#!":
                continue
            alone = not text[text.rfind("\n", 0, position) + 1 : position].strip()
            rows = [(number, MARKER.sub("", part, count=1).replace("*/", "")) for number, part in rows]
            if comment and alone and comment[0] == marker and comment[2][-1][0] == rows[0][0] - 1:
                comment[2].extend(rows)
                continue
            end()
            if not alone and text[token.end() :].partition("\n")[0].strip():
                found.append(Paragraph(rows, wraps=False))
                continue
            comment = (marker, marker in DOC_MARKERS or (language == "wgsl" and alone), rows)
            if not alone:
                end()
        elif token.lastgroup and rows[0][0] in docs:
            found.extend(markdown(unquoted(rows), language, doc=True))
        elif token.lastgroup and messages:
            if "/**" in token[0]:
                found.extend(code(unquoted(rows), "js"))
                continue
            if string and language == "python" and not text[string_end:position].strip():
                rows = string + rows
                found.pop()
            string, string_end = rows, token.end()
            found.append(Paragraph(message(rows), wraps=False))
    end()
    return [part for part in found if part.wraps or len(part.text) > SHORTEST and " " in part.text]


def unquoted(rows):
    """Removes the quotes of a string."""
    rows = list(rows)
    rows[0] = (rows[0][0], re.sub(r"^[a-zA-Z]{0,2}#*(?:\"\"\"|\'\'\'|[\"\'`])", "", rows[0][1]))
    rows[-1] = (rows[-1][0], re.sub(r"(?:\"\"\"|\'\'\'|[\"\'`])#*$", "", rows[-1][1]))
    return rows


def message(rows):
    """Returns the text of strings: breaks for escapes, and code for placeholders."""
    found = []
    for row in rows:
        number, text = unquoted([row])[0]
        text = re.sub(r"\\[nrt]", BREAK, text).replace("\\", "")
        found.append((number, re.sub(r"\$?\{[^{}]*\}", CODE, text)))
    return found
