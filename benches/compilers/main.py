"""Compiles the pipelines with every compiler. Started by `compilers.sh`."""

import argparse
import datetime
import json
import os
import sys
import time
from pathlib import Path

import mesa
import ptxas
import table
from packages import Unavailable, call

ROOT = Path(__file__).resolve().parents[2]
TARGET = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
FOLDER = TARGET / "compilers"

# The end of the commit's name if the kernels are not those of a commit.
CHANGES = " and changes"


def log(text):
    print(text, file=sys.stderr, flush=True)


def commit():
    """Returns the commit that the kernels are from."""
    status = ["git", "status", "--porcelain", "--untracked-files=no"]
    changed = call([*status, "src", "shaders", "Cargo.lock"], cwd=ROOT)
    name = call(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT).strip()
    return name + (CHANGES if changed else "")


def kept_results(path, only, now):
    """Returns the earlier results whose other compilers a run with `--only` keeps, or none.

    Two uncommitted changes of one commit have the same name, so nothing is kept if there are any.
    """
    if not only or not path.exists():
        return {}
    earlier = json.loads(path.read_text())
    if now.endswith(CHANGES):
        log(f"the kernels have uncommitted changes: {path.name} is replaced as a whole")
        return {}
    if earlier["commit"] != now:
        log(f"{path.name} is of commit {earlier['commit']} and is replaced as a whole")
        return {}
    return earlier


def dump():
    """Writes the pipelines. Returns the program that wrote them, their folder and their index."""
    build = ["cargo", "build", "--quiet", "--package", "ctc-wgpu-compilers"]
    call(build, cwd=ROOT)
    program = TARGET / "debug/pipelines"
    folder = FOLDER / "pipelines"
    call([program, "dump", folder])
    return program, folder, json.loads((folder / "index.json").read_text())


class Results:
    """The content of the JSON: compilers, plans, and the figures of each pipeline."""

    def __init__(self, index, kept):
        self.compilers = {}
        self.plans = index["plans"]
        keys = ("name", "kernel", "subgroups", "constants")
        self.pipelines = {
            pipeline["name"]: {**{key: pipeline[key] for key in keys}, "compiled": {}}
            for pipeline in index["pipelines"]
        }
        for compiler in kept.get("compilers", []):
            name = compiler["id"]
            compiled = {
                line["name"]: line["compiled"][name]
                for line in kept["pipelines"]
                if name in line["compiled"]
            }
            self.add(name, compiler["what"], compiler["absent"], compiler["version"], compiled)

    def add(self, name, what, absent, version=None, compiled=()):
        self.compilers[name] = {"id": name, "what": what, "absent": absent, "version": version}
        for pipeline, made in dict(compiled).items():
            if pipeline in self.pipelines:
                self.pipelines[pipeline]["compiled"][name] = made
        errors = sum("error" in made for made in dict(compiled).values())
        log(f"{name}: {absent or f'{len(compiled) - errors} pipelines compiled, {errors} refused'}")

    def json(self, date, commit):
        order = [*ptxas.IDS, *(device.id for device in mesa.DEVICES)]
        return {
            "date": date,
            "commit": commit,
            "compilers": sorted(
                self.compilers.values(), key=lambda compiler: order.index(compiler["id"])
            ),
            "plans": self.plans,
            "pipelines": list(self.pipelines.values()),
        }


def nvidia(results, wanted, pipelines, folder, threads):
    wanted = {name: architecture for name, architecture in ptxas.IDS.items() if wanted(name)}
    if not wanted:
        return
    compiler = ptxas.Ptxas(FOLDER)
    try:
        version = compiler.install()
        compiled = compiler.compile(pipelines, folder, list(wanted.values()), threads)
        for name, architecture in wanted.items():
            results.add(name, ptxas.what(architecture), None, version, compiled[architecture])
    except Unavailable as error:
        for name, architecture in wanted.items():
            results.add(name, ptxas.what(architecture), str(error))


def others(results, wanted, pipelines, folder, program):
    installed = mesa.Mesa(FOLDER, program)
    for device in mesa.DEVICES:
        if not wanted(device.id):
            continue
        try:
            version, compiled = installed.compile(device, pipelines, folder)
            results.add(device.id, device.what, None, version, compiled)
        except Unavailable as error:
            results.add(device.id, device.what, str(error))


def main():
    parser = argparse.ArgumentParser(prog="benches/compilers.sh", description=__doc__)
    parser.add_argument(
        "--only",
        metavar="NAMES",
        help="run only compilers with these prefixes, separated by commas",
    )
    parser.add_argument(
        "--out",
        metavar="FILE.json",
        type=Path,
        help="default: benches/results/<date>-compilers.json",
    )
    parser.add_argument(
        "--table", metavar="FILE.json", type=Path, help="only write the page of these results again"
    )
    parser.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="threads of ptxas; Mesa's compilers use one"
    )
    arguments = parser.parse_args()
    if arguments.table:
        table.write(arguments.table)
        return
    began = time.monotonic()
    prefixes = tuple(arguments.only.split(",")) if arguments.only else ("",)
    wanted = lambda name: name.startswith(prefixes)
    if not any(map(wanted, [*ptxas.IDS, *(device.id for device in mesa.DEVICES)])):
        parser.error(f"no compiler has one of the prefixes {arguments.only}")
    date = datetime.date.today().isoformat()
    path = arguments.out or ROOT / f"benches/results/{date}-compilers.json"
    FOLDER.mkdir(parents=True, exist_ok=True)
    now = commit()
    try:
        program, folder, index = dump()
    except Unavailable as error:
        sys.exit(f"the pipelines could not be written: {error}")
    kept = kept_results(path, arguments.only, now)
    kept["compilers"] = [
        compiler for compiler in kept.get("compilers", []) if not wanted(compiler["id"])
    ]
    results = Results(index, kept)
    nvidia(results, wanted, index["pipelines"], folder, arguments.threads)
    others(results, wanted, index["pipelines"], folder, program)
    text = json.dumps(results.json(date, now), indent=1) + "\n"
    # Reasons and errors may name files of this machine.
    path.write_text(text.replace(f"{FOLDER}/", ""))
    page = table.write(path)
    log(f"{path} and {page.name}, after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
