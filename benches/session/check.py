"""Reports whether the record of a session is complete, and which of its steps did not end well."""

from dataclasses import dataclass, field

from session.record import FORMAT, STATUSES
from session.steps import NAMES

TOP = ("kind", "date", "began", "ended", "command", "limits", "bundle", "machine", "adapter", "seconds")
STEP = ("title", "limit_s", "status", "seconds", "parts")
# What every line of ours has if its answer was right. The device's own times need timestamps.
OURS = ("shape", "median_ms", "wall_ms", "copy_gb_per_s", "workspace_bytes", "mean_loss")
# What an issue of a card begins with.
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
        verdict = "incomplete" if self.missing else "complete"
        lines.append(f"{verdict}; {len(self.ended_well)} steps ended well, {len(self.troubles)} did not")
        return lines

    def exit_status(self, required=()):
        """0 if the record is complete and the required steps ended well, whatever the others came to."""
        return 1 if self.missing or any(name in required for name, _, _ in self.troubles) else 0


def check(session):
    found = Found()
    if not isinstance(session, dict) or session.get("format") != FORMAT:
        found.missing.append(f"a session of format {FORMAT}")
        return found
    found.missing += [name for name in TOP if session.get(name) is None]
    card = session.get("adapter") or {}
    found.missing += [f"adapter.{name}" for name in CARD if name not in card]
    steps = {step.get("name"): step for step in session.get("steps", [])}
    for name in NAMES:
        if name not in steps:
            found.missing.append(f"step {name}")
        else:
            look_at(name, steps[name], found)
    return found


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
    for part in step.get("parts", []):
        if part.get("status") == "ok":
            found.missing += [f"step {name}, {part['name']}: {what}" for what in lacking(name, part)]


def why(step):
    if step.get("reason"):
        return f" ({step['reason']})"
    bad = [part for part in step.get("parts", []) if part["status"] not in ("ok", "absent")]
    told = [f"{part['name']} {part['status']}" for part in bad[:6]]
    more = f" and {len(bad) - 6} more" if len(bad) > 6 else ""
    return f" ({', '.join(told)}{more})" if told else ""


def lacking(name, part):
    """What a part that ended well should have recorded and did not."""
    data = part.get("data")
    if name in ("times", "again"):
        return [key for line in data or [{}] for key in OURS if line.get(key) is None]
    if name == "validate":
        return [key for key in ("passed", "cases", "adapters") if key not in (data or [{}])[0]]
    if name in ("torch", "optax", "tests", "more") and not data:
        return ["data"]
    return []
