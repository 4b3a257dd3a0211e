#!/usr/bin/env python3
"""Times the alignment and the decoders of ctc-wgpu and of other libraries in one run.

    python3 benches/decoders.py                 # installs, builds, measures, writes results
    python3 benches/decoders.py --peers torchaudio,tensorflow --rounds 5
    python3 benches/decoders.py --no-install    # with what this Python has already

As in `run.py`, the programs run one after the other, in several rounds, and the median over the
rounds counts. All of them decode the batches of `inputs/trained.rs`. The results of the other
libraries are compared with ours, and the report contains the comparison.
"""

import json
import platform
import shlex
import sys

import report
import run
import tables

BEGIN, END = "<!-- decoders:begin -->", "<!-- decoders:end -->"
OURS = "ctc-wgpu CPU"

# torchaudio's wheel requires one version of PyTorch, pyctcdecode's an old numpy. Both work with the
# versions that the others need.
PACKAGES = {
    "torchaudio": ["torch", "--no-deps torchaudio"],
    "tensorflow": ["tensorflow-cpu"],
    "fast-ctc-decode": ["fast-ctc-decode"],
    "pyctcdecode": ["pygtrie", "hypothesis", "--no-deps pyctcdecode"],
}
TITLES = {"torchaudio": "torchaudio", "tensorflow": "TensorFlow"}

# The largest difference of a peer's log-probability from ours for the same hypothesis, relative to
# max(1, |ours|). These are sums of f32.
TOLERANCE = 1e-3


def programs(args, absent):
    """Returns the command of each program by name, ours first.

    An adapter runs alignment and greedy decoding; beams run on the CPU only.
    """
    tool = run.built(args)
    shapes = [word for shape in args.shape or [] for word in ("--shape", shape)]
    bench = [tool, "bench", "--decode", "--json", *shapes, "--backend"]
    found = {
        OURS: [*bench, "cpu", "--threads", args.threads],
        f"{OURS}, 1 thread": [*bench, "cpu", "--threads", 1],
    }
    if args.threads == 1:
        del found[f"{OURS}, 1 thread"]
    for name in args.adapter or [""]:
        found[f"ctc-wgpu GPU {name}".strip()] = [*bench, "gpu", *(["--adapter", name] if name else [])]
    python = sys.executable if args.no_install else run.install(args.peers, absent, PACKAGES)
    for peer in args.peers:
        if peer not in absent:
            found[peer] = [python, run.HERE / "peers/decoders.py", peer, *run.options(args)]
    return found


def key(line):
    return f"{report.key(line['shape'])} {line['task']}"


def compare(programs):
    """Adds to each time of a peer the number of items for which its result equals ours.

    The most probable path is unique, so alignments and greedy hypotheses must equal ours. Beams may
    have been pruned at different places.
    """
    for name, results in programs.items():
        for task, line in results.items():
            ours = programs[OURS].get(task, {})
            if "error" in line or "results" not in ours:
                continue
            if "results" not in line:
                line["error"] = "it printed no results"
                continue
            pairs = list(zip(line["results"], ours["results"]))
            same = [theirs == right for theirs, right in pairs]
            line["same"], line["items"] = sum(same), len(same)
            exact = task.split(" ", 1)[1] in ("align", "greedy")
            if exact and not (len(line["results"]) == len(ours["results"]) and all(same)):
                line["error"] = f"{len(same) - sum(same)} of {len(same)} items differ from ours"
            if line.get("log_probs") is None:
                continue
            for item, (theirs, right) in enumerate(zip(line["log_probs"], ours["log_probs"])):
                # The probability of a beam is that of its own paths, so two beams differ.
                if exact and not abs(theirs - right) <= TOLERANCE * max(1, abs(right)):
                    line["error"] = f"item {item}: log_prob is {theirs}, and ours {right}"
    for results in programs.values():
        for line in results.values():
            line.pop("results", None)
            line.pop("log_probs", None)


def title(name, lines=None):
    if lines and name.startswith("ctc-wgpu GPU"):
        return report.title(name, lines)
    return TITLES.get(name, name)


def rows(results, cell):
    """Returns one row per shape and task that ctc-wgpu computes."""
    lines_of_table = []
    for task in results["programs"][OURS]:
        shape, name = task.split(" ", 1)
        cells = [cell(lines.get(task, {})) for lines in results["programs"].values()]
        lines_of_table.append([tables.named(shape), name, *cells])
    return lines_of_table


def table_of_times(results):
    def cell(line):
        return tables.milliseconds(line["median_ms"]) if "error" not in line and "median_ms" in line else "–"

    return tables.table(["T, N, C, L", "ms", *(title(*program) for program in results["programs"].items())], rows(results, cell))


def table_of_ratios(results):
    ours = results["programs"][OURS]
    lines_of_table = []
    for task, right in ours.items():
        shape, name = task.split(" ", 1)
        cells = []
        for peer, lines in results["programs"].items():
            line = lines.get(task, {})
            if peer.startswith("ctc-wgpu"):
                continue
            good = "error" not in line and "error" not in right and "median_ms" in line
            same = f" ({line.get('same')}/{line.get('items')})" if good else ""
            cells.append(f"{tables.ratio(line['median_ms'] / right['median_ms'])}{same}" if good else "–")
        lines_of_table.append([tables.named(shape), name, *cells])
    peers = [title(name) for name in results["programs"] if not name.startswith("ctc-wgpu")]
    return tables.table(["T, N, C, L", "times as long as ours", *peers], lines_of_table)


def versions(results):
    found_versions = []
    for name, lines in results["programs"].items():
        found = [line["version"] for line in lines.values() if "version" in line]
        found_versions.append(f"{title(name, lines)} {found[0]}" if found else title(name, lines))
    return "; ".join(found_versions)


def troubles(results):
    notes = [f"- {title(name)} is absent: {reason}" for name, reason in results["absent"].items()]
    for name, lines in results["programs"].items():
        for task, line in lines.items():
            if "error" in line:
                notes.append(f"- {title(name, lines)} at {task}: {line['error']}")
    return "\n".join(notes)


def markdown(results):
    parts = [
        f"# Alignment and decoding, {results['date']}, {results['machine']}",
        f"In ms: the median over {report.counted(results)} of each program's median. Measured by `{results['command']}` at commit "
        f"{results['commit']}.",
        f"Machine: {report.machine(results)}, {results['cores']} cores, {results['os']}; {report.built(results)}, Python "
        f"{results['python']}.\nVersions: {versions(results)}.",
        report.noise(results),
        table_of_times(results),
        "How many times as long as ctc-wgpu on the CPU the others take, and for how many items their result equals its "
        "own (alignments and greedy hypotheses must be equal):",
        table_of_ratios(results),
        "What is timed, and which tasks a library does not have, is in [the README](../README.md#benchesdecoderspy).",
        troubles(results),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def readme(results, stem):
    gone = [title(name) for name in results["absent"]]
    gone = f" Absent: {', '.join(gone)}." if gone else ""
    warning = f"{report.noise(results)}\n\n" if report.noise(results) else ""
    return (
        f"Alignment and decoding in ms on {report.machine(results)}, {results['date']}: {versions(results)}.{gone}\n\n{warning}"
        f"{table_of_times(results)}\n\nMeasured in {report.counted(results)} by `{results['command']}`; "
        f"[ratios, versions and environment](results/{stem}.md)."
    )


def write(results, readme_too):
    path = run.HERE / "results" / f"{results['date']}-{results['machine']}-decoders.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    path.with_suffix(".md").write_text(markdown(results))
    if readme_too:
        text = report.README.read_text()
        report.README.write_text(report.insert(text, readme(results, path.stem), BEGIN, END))
    run.say(f"written: {path.relative_to(run.ROOT)}, and .md beside it")


def main():
    args, absent = run.checked(run.parser(__doc__, PACKAGES, "three")), {}
    began = run.commit()
    found = programs(args, absent)
    others = run.Others()
    measured = run.measure(found, args, absent)
    by_program = {name: run.merged(seen, key) for name, seen in measured.items()}
    busy = others.cores()
    if OURS not in by_program:
        sys.exit(f"ctc-wgpu itself did not run: {absent.get(OURS)}")
    compare(by_program)
    results = {
        **run.machine(args, began, busy),
        "python": platform.python_version(),
        "command": shlex.join(["python3", "benches/decoders.py", *sys.argv[1:]]),
        "rounds": args.rounds,
        "programs": by_program,
        "absent": absent,
    }
    write(results, args.readme)


if __name__ == "__main__":
    try:
        main()
    except run.Failed as failure:
        sys.exit(f"error: {failure}")
