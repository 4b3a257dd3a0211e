import unittest

from session.check import check
from session.steps import NAMES
from session.tests import sample


class Check(unittest.TestCase):
    def test_a_whole_session_is_complete(self):
        found = check(sample.session())
        self.assertEqual(found.missing, [])
        self.assertEqual(found.exit_status(NAMES), 0)

    def test_a_failed_step_leaves_it_complete_unless_it_is_required(self):
        record = sample.session()
        sample.step(record, "tests").update(status="late")
        sample.step(record, "torch").update(status="failed", reason="no GPU")
        found = check(record)
        self.assertEqual((found.exit_status(), found.exit_status(['torch']), found.exit_status(['times'])), (0, 1, 0))
        self.assertIn("failed: torch (no GPU)", found.lines())

    def test_what_is_missing_is_named(self):
        for change, message in [
            (lambda record: record.pop("machine"), "machine"),
            (lambda record: record.update(ended=None), "ended"),
            (lambda record: record["adapter"].pop("driver"), "adapter.driver"),
            (lambda record: record["steps"].pop(), "step table"),
            (lambda record: sample.step(record, "optax").update(status="pending"), "step optax: an end"),
            (lambda record: sample.step(record, "again")["parts"][0]["data"][0].pop("wall_ms"), "wall_ms"),
            (lambda record: sample.step(record, "validate")["parts"][0].update(data=[]), "passed"),
            (lambda record: sample.step(record, "torch")["parts"][1].update(data=[]), "torch-cuda: data"),
            (lambda record: record.update(format=0), "format 1"),
            (lambda record: record.update(date="../../elsewhere"), "a date"),
            (lambda record: record.update(seconds="long"), "seconds as a number"),
            (lambda record: record.update(limits={}), "limits.set"),
            (lambda record: record["bundle"].pop("commit"), "bundle.commit"),
            (lambda record: record.update(steps=None), "well-formed"),
            (lambda record: record.update(steps=[1]), "well-formed"),
            (lambda record: sample.step(record, "times").update(parts=[]), "step times: parts"),
            (lambda record: sample.step(record, "times")["parts"][0].pop("name"), "the name of a part"),
            (lambda record: sample.step(record, "times")["parts"][0]["data"][0].update(median_ms=0), "median_ms above 0"),
            (lambda record: sample.step(record, "times")["parts"][0]["data"][0].update(median_ms="1"), "well-formed"),
        ]:
            record = sample.session()
            change(record)
            found = check(record)
            self.assertTrue(any(message in what for what in found.missing), (message, found.missing))
            self.assertEqual(found.exit_status(), 1)


if __name__ == "__main__":
    unittest.main()
