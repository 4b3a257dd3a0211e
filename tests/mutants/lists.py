"""The lists of mutants and of their results, and the report on both.

`mutants.json` has for each mutant an `id`; in `what`, the fault that it injects; in `site`, where
(see sites.py); and for the reader `file`, `before` and `after`, which `refreshed` takes from the
site. A shader mutant may have in `first` the tests that are the most likely to fail. `killed.json`
has by id the test that failed, and `survivors.json` the reason why no test can fail.
"""

import json
import pathlib
import re

import sites

HERE = pathlib.Path(__file__).resolve().parent
MUTANTS, KILLED, SURVIVORS = (HERE / f"{name}.json" for name in ("mutants", "killed", "survivors"))
RESULTS = HERE / "results.md"
# Where the sources of each side are, by how their names end.
SIDES = {".wgsl": ("shaders/**/*.wgsl",), ".rs": ("src/cpu.rs", "src/cpu/**/*.rs")}
FIELDS = ("id", "what", "file", "before", "after", "first", "site")


def read(path):
    return json.loads(path.read_text())


def write(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_mutants(mutants):
    """One line per field, so that a site is one line."""
    entries = [
        ",\n".join(
            f'    "{field}": {json.dumps(value, ensure_ascii=False)}'
            for field, value in mutant.items()
        )
        for mutant in mutants
    ]
    MUTANTS.write_text("[\n" + ",\n".join(f"  {{\n{entry}\n  }}" for entry in entries) + "\n]\n")


def sides():
    """Returns the current sources, by the suffix of their names."""
    root = sites.ROOT
    return {
        suffix: sites.Side(
            sites.Source(str(path.relative_to(root)), path.read_text())
            for pattern in patterns
            for path in sorted(root.glob(pattern))
        )
        for suffix, patterns in SIDES.items()
    }


def side_of(mutant, sides):
    return sides[pathlib.PurePath(mutant["file"]).suffix]


def place(mutant, sides):
    """Returns the only place of a mutant in the sources."""
    try:
        return side_of(mutant, sides).place(mutant["site"])
    except sites.SiteError as error:
        raise sites.SiteError(f"{mutant['id']}: {error}") from error


def refreshed(mutant, sides):
    """Returns `mutant` with its current file and text.

    If it has no valid site, it gets one that is made from `file`, `before` and `after`.
    """
    side = side_of(mutant, sides)
    site = mutant.get("site")
    places = list(side.places(site)) if site else []
    if len(places) != 1:
        # If the site has become ambiguous, the text that is kept decides.
        starts = {
            found.start
            for found in places
            if (found.source.name, found.before) == (mutant["file"], mutant["before"])
        }
        start = starts.pop() if len(starts) == 1 else None
        site = side.site(mutant["file"], mutant["before"], mutant["after"], start)
    now = side.place(site)
    new = {
        "id": mutant.get("id") or name(mutant),
        "file": now.source.name,
        "before": now.before,
        "after": now.after,
        "site": site,
    }
    mutant = mutant | new
    return {field: mutant[field] for field in FIELDS if field in mutant}


def name(mutant):
    """Returns an id that is made from the description."""
    words = re.findall(r"[a-z0-9]+", mutant["what"].lower().replace("'", ""))
    words = [word for word in words if word not in ("a", "an", "the")]
    return "-".join(words + (["cpu"] if mutant["file"].endswith(".rs") else []))


def checked(mutants, sides, killed, survivors):
    """Returns what is wrong with the lists, one line per fault."""
    wrong, seen = [], {}
    ids = [mutant["id"] for mutant in mutants]
    wrong += [f"{id}: two mutants have this id" for id in sorted(set(ids)) if ids.count(id) > 1]
    for mutant in mutants:
        id = mutant["id"]
        try:
            found = place(mutant, sides)
        except sites.SiteError as error:
            wrong.append(str(error))
            continue
        if found.before == found.after:
            wrong.append(f"{id}: changes nothing")
        if refreshed(mutant, sides) != mutant:
            wrong.append(f"{id}: the text is stale; run tests/mutants/run.py --refresh")
        other = seen.setdefault((found.source.name, found.mutated), id)
        if other != id:
            wrong.append(f"{id}: is the same mutant as {other}")
    for known, path in ((killed, KILLED), (survivors, SURVIVORS)):
        wrong += [f"{id}: is in {path.name} but is not a mutant" for id in known if id not in ids]
    wrong += [f"{id}: is both killed and a survivor" for id in survivors if id in killed]
    reasonless = [id for id, why in survivors.items() if len(why) <= 40]
    wrong += [f"{id}: needs a reason for surviving" for id in reasonless]
    files = {mutant["file"] for mutant in mutants}
    for side in sides.values():
        wrong += [f"{name}: has no mutants" for name in side.sources if name not in files]
    return wrong


def report(mutants, killed, survivors):
    """Returns the text of results.md."""
    alive = [mutant for mutant in mutants if mutant["id"] in survivors]
    dead = [mutant for mutant in mutants if mutant["id"] in killed]
    lines = [
        "# Mutants",
        "",
        f"{len(mutants)} mutants: {len(dead)} killed, {len(alive)} survive, "
        f"{len(mutants) - len(dead) - len(alive)} not run yet.",
        "",
        "`tests/mutants/run.py` writes this file. A mutant is killed if a test failed in the last",
        "run that included it. The sources may have changed since; `--again` runs all mutants.",
        "",
        "| file | injected fault | change | result |",
        "| --- | --- | --- | --- |",
    ]
    for mutant in mutants:
        if mutant["id"] in killed:
            result = f"killed by `{killed[mutant['id']]}`"
        elif mutant["id"] in survivors:
            result = f"**survives**: {survivors[mutant['id']] or 'no reason given yet'}"
        else:
            result = "not run yet"
        change = " → ".join(code(mutant[side]) for side in ("before", "after"))
        lines.append(f"| `{mutant['file']}` | {mutant['what']} | {change} | {result} |")
    return "\n".join(lines) + "\n"


def code(text):
    """Returns `text` as code for a cell of a table."""
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`" if text else "nothing"
