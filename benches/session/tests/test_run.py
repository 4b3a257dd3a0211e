import contextlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path
from unittest import mock

from shapes import SHAPES

from session import bundle, machine, process, record, steps
from session.check import check
from session.tests import sample

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("fake_tool.py")}" "$@"\n'


@unittest.skipUnless(os.name == "posix", "the replacement of the tool is a shell script")
class Run(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = Path(scratch.name)
        self.bundle, self.out = self.folder / "bundle", self.folder / "out"
        self.bundle.mkdir()
        bundle.copy(self.bundle)
        (self.bundle / bundle.FACTS).write_text(json.dumps(sample.session()["bundle"]))
        for program in (bundle.tool(self.bundle), bundle.tests(self.bundle)):
            program.write_text(SCRIPT)
            program.chmod(0o755)

    def start(self, fake, *words):
        """Runs the bundle's own script, in another folder and with nothing in the environment."""
        command = ["bash", self.bundle / "benches/gpu_session.sh", "run", self.out, "--limits", "tiny", *words]
        env = {"PATH": "/usr/bin:/bin", "FAKE": fake, "PYTHON": sys.executable}
        return subprocess.Popen(
            [str(word) for word in command], env=env, cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def run_to_end(self, fake, *words):
        session = self.start(fake, *words)
        printed, _ = session.communicate(timeout=100)
        self.assertEqual(session.returncode, 0, printed)
        return json.loads((self.out / "session.json").read_text()), printed

    def statuses(self, record):
        return {step["name"]: step["status"] for step in record["steps"]}

    def test_a_session_without_peers_is_complete_and_its_table_is_printed_last(self):
        record, printed = self.run_to_end("")
        statuses = self.statuses(record)
        self.assertEqual({statuses.pop("torch"), statuses.pop("optax")} - {"ok", "absent"}, set(), printed)
        self.assertEqual(set(statuses.values()), {"ok"}, printed)
        self.assertEqual(check(record).missing, [])
        self.assertTrue(printed.endswith("\n".join(record["table"]) + "\n"), printed)
        timed = [part["data"][0]["shape"] for part in sample.step(record, "times")["parts"]]
        self.assertEqual(timed, [[6, 2, 5, 3], [20, 2, 8, 4]])

    def test_a_crash_costs_its_shape_only(self):
        record, _ = self.run_to_end("crash", "--steps", "times,more")
        first, second = sample.step(record, "times")["parts"]
        self.assertEqual((first["status"], second["status"]), ("ok", "failed"))
        statuses = self.statuses(record)
        self.assertEqual((statuses["times"], statuses["tests"], statuses["table"]), ("failed", "skipped", "ok"))

    def test_a_step_that_hangs_is_stopped_tried_again_and_recorded(self):
        record, printed = self.run_to_end("hang")
        suite = sample.step(record, "validate")
        self.assertEqual((suite["status"], suite["tries"]), ("late", 2), printed)
        self.assertEqual(check(record).exit_status(["validate"]), 1)

    def test_selected_steps_are_not_tried_again(self):
        record, printed = self.run_to_end("hang", "--steps", "validate")
        suite = sample.step(record, "validate")
        self.assertEqual((suite["status"], "tries" in suite), ("late", False), printed)

    def test_the_record_contains_no_folder_of_the_user(self):
        record, printed = self.run_to_end("paths", "--steps", "times")
        part = sample.step(record, "times")["parts"][0]
        self.assertEqual(part["status"], "failed", printed)
        names = ["BUNDLE", "OUT", "CWD", "~", "~/.cargo"]
        self.assertEqual(part["tail"], [f"panicked at {name}/a.rs" for name in names])
        kept = (self.out / "session.json").read_text()
        for folder in (self.folder, self.bundle, self.out, Path.home(), "/home/builder"):
            self.assertNotIn(f"{folder}/", kept)
            self.assertNotIn(f'{folder}"', kept)

    def test_a_record_is_not_replaced(self):
        self.out.mkdir()
        (self.out / "session.json").write_text("{}")
        session = self.start("")
        printed, _ = session.communicate(timeout=60)
        self.assertEqual(session.returncode, 1, printed)
        self.assertIn("session.json exists", printed)
        self.assertEqual((self.out / "session.json").read_text(), "{}")

    def test_a_test_that_fails_is_named(self):
        record, printed = self.run_to_end("wrong", "--steps", "tests")
        self.assertIn("GPU tests: 1 of 2 pass: loop_iterations::b failed", printed)
        failed = sample.step(record, "tests")["parts"][0]["data"][1]
        self.assertEqual((failed["status"], failed["tail"]), ("failed", ["loop_iterations::b does not hold"]))

    def test_without_an_adapter_the_record_has_all_that_was_tried(self):
        session = self.start("none")
        printed, _ = session.communicate(timeout=60)
        record = json.loads((self.out / "session.json").read_text())
        self.assertEqual(session.returncode, 1, printed)
        self.assertTrue(sample.step(record, "machine")["tried"])
        self.assertIn("no adapter", printed)

    def test_an_interrupted_session_keeps_what_it_has_and_is_incomplete(self):
        session = self.start("hang")
        path = self.out / "session.json"
        while not path.exists() or sample.step(json.loads(path.read_text()), "machine")["status"] != "ok":
            time.sleep(0.05)
        session.send_signal(signal.SIGTERM)
        printed, _ = session.communicate(timeout=30)
        record = json.loads(path.read_text())
        self.assertEqual((session.returncode, record["interrupted"]), (1, "SIGTERM"), printed)
        self.assertEqual(self.statuses(record)["times"], "pending")
        self.assertEqual(record["adapter"]["name"], sample.ADAPTER["name"])


class Adapters(unittest.TestCase):
    GPU = {"name": "NVIDIA H100", "backend": "vulkan", "type": "discrete"}
    BY_GL = {**GPU, "backend": "gl"}
    SOFTWARE = {"name": "llvmpipe", "backend": "vulkan", "type": "software"}

    def choose(self, wanted, *listed):
        """Returns the choice if each way to a driver lists these adapters."""
        ways = [(str(at), {"WAY": str(at)}) for at in range(len(listed))]
        found = [(adapters, process.Done("ok", 0, 0.0, "", "")) for adapters in listed]
        with mock.patch.object(machine, "environments", lambda *_: ways), mock.patch.object(machine, "adapters", side_effect=found):
            adapter, env, tried = machine.choose("tool", {}, None, None, wanted)
        return adapter, env.get("WAY"), len(tried)

    def test_the_first_way_to_the_gpu_by_its_own_api_is_taken(self):
        self.assertEqual(self.choose("nvidia", [self.BY_GL], [self.GPU], [self.GPU]), (self.GPU, "1", 2))
        self.assertEqual(self.choose(None, [self.SOFTWARE], [self.SOFTWARE, self.GPU]), (self.GPU, "1", 2))
        self.assertEqual(self.choose("llvm", [self.GPU, self.SOFTWARE]), (self.SOFTWARE, "0", 1))

    def test_gl_and_software_are_taken_if_nothing_better_is_found(self):
        self.assertEqual(self.choose("nvidia", [], [self.BY_GL], [self.SOFTWARE]), (self.BY_GL, "1", 3))
        self.assertEqual(self.choose(None, [], [self.SOFTWARE]), (self.SOFTWARE, "1", 2))
        self.assertEqual(self.choose("nvidia", [self.SOFTWARE], []), (None, None, 2))


class Parts(unittest.TestCase):
    def call(self, text, limit_s=10.0):
        return process.call([sys.executable, "-c", text], limit_s)

    def test_what_a_stopped_program_printed_is_kept(self):
        done = self.call("import time; print('[1]', flush=True); time.sleep(60)", 1.0)
        self.assertEqual((done.status, done.out.strip()), ("late", "[1]"))
        self.assertLess(done.seconds, 10)

    def test_a_program_is_stopped_with_those_that_it_started(self):
        with tempfile.TemporaryDirectory() as folder:
            mark = Path(folder) / "mark"
            inner = f"import time; time.sleep(3); open({str(mark)!r}, 'w')"
            self.call(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {inner!r}])", 0.5)
            time.sleep(3)
            self.assertFalse(mark.exists())

    def test_failures_have_a_status_and_a_tail(self):
        done = self.call("import sys; sys.exit('no such device')")
        self.assertEqual((done.status, done.exit, done.tail()), ("failed", 1, ["no such device"]))
        done = process.call(["/no/such/program"], 1)
        self.assertEqual((done.status, done.exit), ("failed", None))

    def test_half_a_line_of_json_is_left_out(self):
        self.assertEqual(steps.values('{"a": 1}\n{"a": 2}\n{"a"'), [{"a": 1}, {"a": 2}])
        self.assertEqual(steps.values('[{"a": 1}]\n'), [{"a": 1}])
        self.assertEqual(steps.values("error: no\n"), [])

    def test_a_step_is_as_good_as_its_worst_part(self):
        self.assertEqual(record.worst(["ok", "late", "failed", "absent"]), "failed")
        self.assertEqual(record.worst(["ok", "absent"]), "ok")
        self.assertEqual(record.worst(["absent"]), "absent")

    def test_the_shapes_are_those_of_our_own_benchmark(self):
        text = (ROOT / "crates/bench-support/src/seeded.rs").read_text(encoding="utf-8")
        listed = re.search(r"SHAPES: \[\[usize; 4\]; 7\] = \[(.*?)\n\];", text, re.S)[1]
        shapes = [tuple(map(int, row.split(","))) for row in re.findall(r"\[([\d, ]+)\]", listed)]
        self.assertEqual(shapes, SHAPES)

    def test_the_newest_symbol_of_glibc_counts(self):
        with tempfile.TemporaryDirectory() as folder:
            program = Path(folder) / "program"
            program.write_bytes(b"\0GLIBC_2.4\0GLIBC_2.34\0GLIBC_2.17\0GLIBC_PRIVATE\0")
            self.assertEqual(bundle.glibc(program), (2, 34))

    @unittest.skipUnless(shutil.which("apt-get") and shutil.which("dpkg-deb"), "Debian's packages need Debian's tools")
    def test_the_loader_comes_by_soname_from_its_packages(self):
        call = bundle.call

        def offline(command, **options):
            if command[0] != "apt-get":
                return call(command, **options)
            tree = Path(options["cwd"]) / "tree"
            (tree / "DEBIAN").mkdir(parents=True)
            control = "Package: libvulkan1\nVersion: 1\nArchitecture: all\nMaintainer: none\nDescription: none\n"
            (tree / "DEBIAN/control").write_text(control)
            (tree / "usr/lib").mkdir(parents=True)
            (tree / "usr/lib/libvulkan.so.1.3.239").write_bytes(b"loader")
            (tree / "usr/lib/libvulkan.so.1").symlink_to("libvulkan.so.1.3.239")
            return call(["dpkg-deb", "--build", tree, f"{options['cwd']}/libvulkan1.deb"])

        with tempfile.TemporaryDirectory() as folder, mock.patch.object(bundle, "call", offline):
            gathered = bundle.loader(Path(folder) / "loader")
            self.assertEqual(gathered, "libvulkan.so.1")
            self.assertEqual((Path(folder) / "loader/libvulkan.so.1").read_bytes(), b"loader")

    @unittest.skipUnless(os.name == "posix", "the replacement of apt-get is a shell script")
    def test_a_folder_without_the_loader_is_prepared_and_has_the_reason(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = Path(folder)
            apt = "#!/bin/sh\necho 'W: unsandboxed' >&2\necho 'E: Unable to locate package libvulkan1' >&2\nexit 100\n"
            for name, text in [("apt-get", apt), ("dpkg-deb", "#!/bin/sh\n"), ("rustc", "#!/bin/sh\necho rustc 1.95.0\n")]:
                (folder / name).write_text(text)
                (folder / name).chmod(0o755)
            built = (folder / "rustc", folder / "rustc")
            path = {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}
            printed = io.StringIO()
            with mock.patch.multiple(bundle, build=lambda _: built, strip=lambda _: None):
                with mock.patch.dict(os.environ, path), contextlib.redirect_stdout(printed):
                    self.assertEqual(bundle.prepare(folder / "made", False, True), 0)
            loader = json.loads((folder / "made" / bundle.FACTS).read_text())["loader"]
            self.assertRegex(loader, "^not gathered: .* ended with exit status 100: E: Unable to locate package libvulkan1$")
            self.assertIn(f"loader: {loader}\n", printed.getvalue())
            self.assertFalse((folder / "made/loader").exists())

    def test_a_program_is_found_in_cargos_messages(self):
        message = {"reason": "compiler-artifact", "target": {"name": "gpu", "kind": ["test"]}, "executable": "/t/gpu-1"}
        messages = "\n".join(map(json.dumps, [{"reason": "build-script-executed"}, message]))
        self.assertEqual(bundle.executable(messages, "test", "gpu"), Path("/t/gpu-1"))
        with self.assertRaisesRegex(bundle.Failed, "ctc-wgpu"):
            bundle.executable(messages, "bin", "ctc-wgpu")


if __name__ == "__main__":
    unittest.main()
