"""Removes from a record the folders that identify the user of the machine."""

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path

# These contain a system's own Python, and identify nobody.
SYSTEM = ("/usr", "/usr/local", "/opt")
# The homes of other users too: a program contains paths of the machine on which it was built.
HOMES = re.compile(r"(?:(?<!\w)[A-Za-z]:)?(?:[\\/]+home|[\\/]+Users)[\\/]+[^\\/\s:;,'\"`()<>|]+")


def python_folders(python):
    """Returns the folders of a Python's environment and of the Python that it is based on."""
    found = shutil.which(python)
    if not found:
        return []
    # `bin/python`, or on Windows `Scripts\\python.exe` in an environment, else `python.exe`.
    up = (path if path.parent.name.lower() not in ("bin", "scripts") else path.parent for path in paths(found))
    folders = [path.parent for path in up]
    return [folder for folder in folders if str(folder) not in SYSTEM]


def paths(path):
    """Returns the absolute path, as passed and with its links resolved."""
    return dict.fromkeys([Path(os.path.abspath(path)), Path(path).resolve()])


def homes():
    with contextlib.suppress(RuntimeError):
        yield Path.home()
    with contextlib.suppress(ImportError, KeyError):
        import pwd

        yield Path(pwd.getpwuid(os.getuid()).pw_dir)


class Names:
    """Replaces these folders by the names that stand for them, wherever a text mentions them."""

    def __init__(self, folders):
        """`folders` are pairs of name and folder. Of two names of one folder the first counts."""
        self.names = {}
        for name, folder in folders:
            for path in paths(folder):
                # The root of a file system identifies nobody, and is in every path.
                if len(path.parts) > 1:
                    self.names.setdefault(key(str(path)), (name, path))
        # The longest first, since one folder may contain another.
        longest = sorted(self.names.values(), key=lambda pair: len(str(pair[1])), reverse=True)
        self.found = re.compile("|".join(pattern(path) for _, path in longest), FLAGS)

    def text(self, text):
        return HOMES.sub("~", self.found.sub(lambda found: self.names[key(found[0])][0], text))

    def value(self, value):
        """Returns a copy of a JSON value with all its texts replaced."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {name: self.value(one) for name, one in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.value(one) for one in value]
        return value


FLAGS = re.IGNORECASE if os.name == "nt" else 0


def key(text):
    """Returns one spelling of a path: messages double backslashes or replace them by slashes."""
    text = re.sub(r"[\\/]+", "/", text)
    return text.lower() if os.name == "nt" else text


def pattern(path):
    """Returns a pattern that finds a path, but not as the beginning of a longer name."""
    words = [word for word in re.split(r"[\\/]+", str(path)) if word]
    root = "" if path.drive else r"[\\/]+"
    # `/work` must not match the end of `/home/work`. Longer paths may follow an option, as in
    # `-L/home/user`.
    alone = r"(?<![\w.-])" if len(words) == 1 else ""
    return alone + root + r"[\\/]+".join(map(re.escape, words)) + r"(?![\w-])"


def of_run(root, out, scratch, python):
    """Returns the folders of a run, with their names in the record."""
    return Names(
        [
            ("BUNDLE", root),
            ("OUT", out),
            ("SCRATCH", scratch),
            *(("PYTHON", folder) for folder in python_folders(python)),
            *(("~", home) for home in homes()),
            ("CWD", Path.cwd()),
            ("TMP", tempfile.gettempdir()),
        ]
    )
