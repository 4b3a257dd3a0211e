"""Reports whether the record of a session is complete, and which of its steps did not end well."""

import re
from dataclasses import dataclass, field

from session.record import FORMAT, STATUSES
from session.steps import ALWAYS, NAMES

TOP = ("kind", "date", "began", "ended", "command", "limits", "bundle", "machine", "adapter", "seconds")
# The facts about the build, the machine and the limits that a page quotes.
PARTS_OF_TOP = {
    "bundle": ("version", "commit", "profile", "rustc"),
    "machine": ("os", "cpu", "cores", "python"),
    "limits": ("set", "scale", "seconds"),
}
STEP = ("title", "limit_s", "status", "seconds", "parts")
# Fields of every line of ours whose results are right. The device's own times need timestamps.
OURS = ("shape", "median_ms", "wall_ms", "ns_per_frame", "copy_gb_per_s", "workspace_bytes", "mean_loss")
# Times and rates, which are above 0.
POSITIVE = ("median_ms", "wall_ms", "copy_gb_per_s")
# The facts that an issue about a card begins with.
CARD = ("name", "backend", "type", "driver", "driver_info")


@dataclass
class Found:
    missing: list = field(default_factory=list)
    # Name and status of each step that is neither ok nor absent, with the reason.
    troubles: list = field(default_factory=list)
    ended_well: list = field(default_factory=list)

    def lines(self):
        lines = [f"missing: {what}" for what in self.missing]
        lines += [f"{status}: {name}{reason}" for name, status, reason in self.troubles]
        state = "incomplete" if self.missing else "complete"
        lines.append(f"{state}; {len(self.ended_well)} steps ended well, {len(self.troubles)} did not")
        return lines

    def exit_status(self, required=()):
        """Returns 0 if the record is complete and all required steps ended well, else 1."""
        return 1 if self.missing or any(name in required for name, _, _ in self.troubles) else 0


# The exceptions for a record whose fields have other types than a session writes.
MALFORMED = (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError)


def check(session):
    found = Found()
    if not isinstance(session, dict) or session.get("format") != FORMAT:
        found.missing.append(f"a session of format {FORMAT}")
        return found
    try:
        look_at_all(session, found)
    except MALFORMED as error:
        found.missing.append(f"a well-formed record ({type(error).__name__}: {error})")
    return found


def look_at_all(session, found):
    found.missing += [name for name in TOP if session.get(name) is None]
    for name, keys in PARTS_OF_TOP.items():
        found.missing += [f"{name}.{key}" for key in keys if key not in (session.get(name) or {})]
    # The date becomes part of a file's name.
    if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", str(session.get("date"))):
        found.missing.append("a date as in 2026-01-31")
    if session.get("interrupted"):
        found.missing.append("an end without an interruption")
    for name, text in texts(session):
        if any(ord(letter) < 32 or letter in "|<>`" for letter in text):
            found.missing.append(f"{name} without control characters and |<>`")
    if not isinstance(session.get("seconds"), (int, float)):
        found.missing.append("seconds as a number")
    card = session.get("adapter") or {}
    found.missing += [f"adapter.{name}" for name in CARD if name not in card]
    steps = {step.get("name"): step for step in session.get("steps", [])}
    for name in NAMES:
        if name not in steps:
            found.missing.append(f"step {name}")
        else:
            look_at(name, steps[name], found)


def texts(session):
    """Yields the texts that pages quote from the record, which may come from anybody."""
    yield "command", str(session.get("command"))
    for part in ("adapter", "bundle", "machine"):
        for key, value in (session.get(part) or {}).items():
            yield f"{part}.{key}", str(value)


def look_at(name, step, found):
    found.missing += [f"step {name}: {key}" for key in STEP if key not in step]
    status = step.get("status")
    if status not in STATUSES or status == "pending":
        found.missing.append(f"step {name}: an end (its status is {status})")
        return
    if status in ("ok", "absent"):
        found.ended_well.append(name)
    else:
        found.troubles.append((name, status, why(step)))
    if status == "ok" and name not in ALWAYS and not step.get("parts"):
        found.missing.append(f"step {name}: parts")
    for part in step.get("parts", []):
        if not part.get("name"):
            found.missing.append(f"step {name}: the name of a part")
        elif part.get("status") == "ok":
            found.missing += [f"step {name}, {part['name']}: {what}" for what in lacking(name, part)]


def why(step):
    if step.get("reason"):
        return f" ({step['reason']})"
    bad = [part for part in step.get("parts", []) if part["status"] not in ("ok", "absent")]
    named = [f"{part['name']} {part['status']}" for part in bad[:6]]
    more = f" and {len(bad) - 6} more" if len(bad) > 6 else ""
    return f" ({', '.join(named)}{more})" if named else ""


def lacking(name, part):
    """Returns the fields that a part lacks although it ended well."""
    data = part.get("data")
    if name in ("times", "again"):
        lines = [line for line in data or [{}] if "error" not in line]
        lacking = [key for line in lines for key in OURS if line.get(key) is None]
        return lacking + [f"{key} above 0" for line in lines for key in POSITIVE if not (line.get(key) or 0) > 0]
    if name == "validate":
        return [key for key in ("passed", "cases", "adapters") if key not in (data or [{}])[0]]
    if name in ("torch", "optax", "tests", "more") and not data:
        return ["data"]
    return []
