import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from session import privacy


class Privacy(unittest.TestCase):
    def setUp(self):
        self.names = privacy.Names([("BUNDLE", "/data/ann/gpu"), ("OUT", "/data/ann/gpu/out"), ("CWD", "/work"), ("~", "/root")])

    def test_the_longest_folder_counts(self):
        self.assertEqual(self.names.text("at /data/ann/gpu/out/a: no"), "at OUT/a: no")
        self.assertEqual(self.names.text("-L/data/ann/gpu/lib, '/data/ann/gpu'."), "-LBUNDLE/lib, 'BUNDLE'.")

    def test_longer_names_are_other_folders(self):
        for text in ("/data/ann/gpu2/a", "/workshop", "/usr/work/a", "/rooted"):
            self.assertEqual(self.names.text(text), text)

    def test_homes_of_other_users_are_replaced(self):
        for home in ("/home/ben", "/Users/ben", "C:\\Users\\ben", "C:\\\\Users\\\\ben", "C:/Users/ben"):
            self.assertEqual(self.names.text(f"at {home}/.cargo/a.rs:1"), "at ~/.cargo/a.rs:1")

    def test_every_text_of_a_record_is_replaced(self):
        record = {"steps": [{"tail": ["/root/a"], "reason": "/work/b", "exit": 1}], "ended": None}
        kept = {"steps": [{"tail": ["~/a"], "reason": "CWD/b", "exit": 1}], "ended": None}
        self.assertEqual(self.names.value(record), kept)

    def test_the_root_of_the_file_system_is_kept(self):
        names = privacy.Names([("CWD", "/"), ("OUT", "/out")])
        self.assertEqual(names.text("/usr/lib/x and /out"), "/usr/lib/x and OUT")

    def test_the_environment_of_the_python_is_replaced_and_the_systems_is_not(self):
        with tempfile.TemporaryDirectory() as folder:
            python = Path(folder) / "venv/bin/python"
            python.parent.mkdir(parents=True)
            python.symlink_to(sys.executable)
            self.assertIn(Path(folder) / "venv", privacy.python_folders(str(python)))
        with mock.patch.object(privacy.shutil, "which", lambda _: "/usr/bin/python3"):
            self.assertNotIn(Path("/usr"), privacy.python_folders("python3"))


if __name__ == "__main__":
    unittest.main()
