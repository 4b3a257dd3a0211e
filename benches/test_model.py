"""Tests the parsing and the arithmetic of `model.py`, without a GPU or a compiler.

`python3 -B -m unittest discover benches` runs them.
"""

import copy
import json
import tempfile
import unittest
from pathlib import Path

import model
import model_page
import model_stages as stages

PLAN = """loss and gradient: N = 4, T = 2000, C = 128, Lmax = 500
dispatches: 7, workspace: 23.2 MiB
batch tiles: 1, checkpoint segments: 1, input slices: 1
  stage              dispatches  workgroups         loop iterations
  check_labels                1  4 × 1 × 1                        9  by check_labels, LANES 64, CONCATENATED 0, ALLOW_BLANK 0
  softmax_stats               1  2000 × 1 × 1                    22  by softmax_stats, LANES 32, ROWS 4, INPUT 0, DIRECTIONS 2, GREEDY 0, WRITE_GATHERED 0, ROW_VECTORS 1
  sweep inward                1  4 × 1 × 2                     1002  by sweep, LANES 128, STORE_ROWS 1, READ_GATHERED 0, INPUT 0, DISTINCT 0, OUTWARD 0
  label_links                 1  4 × 1 × 1                      158  by label_links, LANES 256, CLEAR 1, LINK 1
  sweep outward               1  4 × 1 × 2                     1002  by sweep, LANES 128, STORE_ROWS 1, OUTWARD 1
  join                        1  4 × 1 × 1                       19  by join, LANES 64, ZERO_IMPOSSIBLE 0, INPUT 0, DISTINCT 0
  grad                        1  2000 × 1 × 1                   640  by grad, LANES 128, ROWS 1, INPUT 0
"""
# The same dispatches in a record from before the stages were renamed, and from before label_links
# and join followed the sweeps.
EARLIER_PLAN = """LossAndGrad of N = 4, T = 2000, C = 128, Lmax = 500: 7 dispatches, 23.2 MiB of workspace
1 group(s) of items, 1 page(s) of steps, 1 chunk(s) of frames
  labels       1 × 4 × 1 × 1, 9 rounds   LANES 64  CONCATENATED 0  ALLOW_BLANK 0
  chain        1 × 4 × 1 × 1, 158 rounds   LANES 256  CLEAR 1  LINK 1
  stats        1 × 2000 × 1 × 1, 22 rounds   LANES 32  ROWS 4  INPUT 0  DIRECTIONS 2  BEST 0  GATHER 0  ONCE 1
  sweep in     1 × 4 × 1 × 2, 1002 rounds   LANES 128  KEEP 1  GATHERED 0  INPUT 0  DISTINCT 0  OUT 0
  meet         1 × 4 × 1 × 1, 19 rounds   LANES 64  ZERO_IMPOSSIBLE 0  INPUT 0  DISTINCT 0
  sweep out    1 × 4 × 1 × 2, 1002 rounds   LANES 128  KEEP 1  OUT 1
  grad         1 × 2000 × 1 × 1, 640 rounds   LANES 128  ROWS 1  INPUT 0
"""
NAMES = ["check_labels", "softmax_stats", "in", "label_links", "out", "join", "grad"]

# A card of round numbers.
CARD = {
    "name": "a card",
    "adapter": "nvidia",
    "compilers": ["absent", "ptxas"],
    "sms": 100,
    "clock_ghz": 1.0,
    "copy_gb_per_s": 1000,
    "l2_gb_per_s": 2000,
    "l2_mib": 32,
    "warps_per_sm": 64,
    "workgroups_per_sm": 32,
}


def loop(instructions, cycles, **pipes):
    return {"instructions": instructions, "pipes": pipes, "stalls": cycles, "cycles": cycles}


def compiled(*loops, code=0, registers=32):
    outside = code + sum(one["instructions"] for one in loops)
    return {"registers": registers, "spills": 0, "code_bytes": 16 * outside, "loops": list(loops)}


# Those of `label_links`: the clearing; then in the loop over chunks the keys, the search in the
# merge in the levels, the links, and the first labels.
LINK_LOOPS = [
    loop(10, 40),
    loop(5, 300),
    loop(10, 80),
    loop(20, 100),
    loop(30, 140),
    loop(50, 500),
    loop(50, 400),
    loop(200, 1500),
]


def pipelines():
    fold = loop(10, 50)
    inward, outward = loop(1700, 4000, alu=900), loop(2800, 6000)
    of = {
        "check_labels": compiled(loop(50, 400)),
        "label_links": compiled(*LINK_LOOPS, code=-165),
        "softmax_stats": compiled(fold, fold, code=300),
        "in": compiled(inward, inward),
        "join": compiled(loop(400, 3000), loop(200, 600), fold),
        "out": compiled(outward, outward),
        "grad": compiled(loop(50, 400), fold, loop(20, 50), loop(30, 600), loop(200, 2000), code=-30),
    }
    return [{"name": name, "compiled": {"ptxas": code}} for name, code in of.items()]


def constants():
    described = model.values(json.loads(model.CONSTANTS.read_text()))
    described["calibration"] = {
        "start_us": 1.0,
        "gap_us": 2.0,
        "round_factor": 1.0,
        "issue_efficiency": 0.5,
        "straight_cycles": 3.0,
        "l2_cycles": 250,
    }
    return described


def data():
    plan = {"adapter": "nvidia", "task": "LossAndGrad", "text": PLAN, "pipelines": NAMES}
    return {"commit": "abc", "plans": [plan], "pipelines": pipelines()}


class Plans(unittest.TestCase):
    def test_a_printed_plan_is_read_back(self):
        task, shape, dispatches = stages.parse_plan(PLAN)
        self.assertEqual((task, shape), ("loss and gradient", (2000, 4, 128, 500)))
        self.assertEqual([one.label for one in dispatches], stages.STAGES)
        sweep_in, out = dispatches[2], dispatches[4]
        self.assertEqual((sweep_in.times, sweep_in.grid, sweep_in.iterations, sweep_in.kernel), (1, (4, 1, 2), 1002, "sweep"))
        self.assertEqual((sweep_in.lanes, sweep_in.warps, sweep_in.workgroups), (128, 4, 8))
        self.assertEqual((sweep_in.subgroups, out.constants["OUTWARD"]), (False, 1))
        self.assertEqual(dispatches[1].constants["ROW_VECTORS"], 1)

    def test_a_kernel_of_another_name_and_subgroups_are_found(self):
        line = "  sweep inward                3  4 × 1 × 2                        7  by sweep_long with subgroups, LANES 256"
        _, _, (dispatch,) = stages.parse_plan(PLAN.splitlines()[0] + "\n" + line)
        self.assertEqual((dispatch.kernel, dispatch.times, dispatch.subgroups), ("sweep_long", 3, True))

    def test_earlier_records_have_the_names_of_today(self):
        by_label = lambda text: sorted(stages.parse_plan(text)[2], key=lambda one: one.label)
        self.assertEqual(by_label(EARLIER_PLAN), by_label(PLAN))
        self.assertEqual(stages.parse_plan(EARLIER_PLAN)[1], stages.parse_plan(PLAN)[1])
        self.assertEqual(model.task_of({"goal": "LossAndGrad"}), model.task_of({"task": "LossAndGrad"}))
        line = "  sweep in     3 × 4 × 1 × 2, 7 rounds   by sweep_long  with subgroups  LANES 256"
        _, _, (dispatch,) = stages.parse_plan(EARLIER_PLAN.splitlines()[0] + "\n" + line)
        self.assertEqual((dispatch.kernel, dispatch.times, dispatch.subgroups), ("sweep_long", 3, True))

    def test_other_text_is_refused(self):
        with self.assertRaises(stages.NoEstimate):
            stages.parse_plan("nothing of a plan")


class Counts(unittest.TestCase):
    def test_labels_are_those_of_the_benchmarks(self):
        # From benches/peers/inputs.py.
        labels = stages.seeded_labels((50, 32, 20, 12))
        self.assertEqual(labels[0], [11, 19, 10, 3, 19, 9, 15, 5, 16, 16, 17, 1])
        self.assertEqual(labels[31], [10, 14, 12, 14, 1, 8, 1, 13, 16, 3, 1, 3])

    def test_links_of_a_class_are_as_many_as_it_is_frequent(self):
        slowest, average = stages.link_iterations([1, 1, 1, 40], 64, 64)
        self.assertEqual((slowest, average), (3, 2))
        self.assertEqual(stages.link_iterations([1, 1, 1, 40], 64, 32), (4, 4))
        # The blank and two first labels.
        self.assertEqual(stages.link_iterations([1, 1, 1, 40], 64, 32, of_labels=True), (3, 3))

    def test_sectors_of_labels_are_counted_once(self):
        # Eight classes each: those of the blank and of 40.
        self.assertEqual(stages.label_sectors([1, 1, 7, 40, 47]), 2)


class Arithmetic(unittest.TestCase):
    def setUp(self):
        self.model = constants()
        _, self.shape, self.dispatches = stages.parse_plan(PLAN)

    def of(self, label, code, shape=None):
        dispatch = next(one for one in self.dispatches if one.label == label)
        return stages.estimate(dispatch, shape or self.shape, code, CARD, self.model)

    def test_one_warp_per_scheduler_takes_the_cycles_of_one_alone(self):
        code = compiled(loop(1700, 4000, alu=900), loop(1700, 4000, alu=900), code=100)
        stage = self.of("sweep inward", code)
        # 250 blocks, 100 instructions outside, 3 loads; 1 GHz.
        self.assertAlmostEqual(stage.us, (250 * 4000 + 100 * 3 + 3 * 250) / 1000)
        self.assertEqual(stage.bound, "latency")

    def test_a_warp_runs_the_loops_of_one_direction(self):
        loops = [stages.Loop("every", 2), *(stages.Loop("one", 10, direction=d) for d in (0, 1, 1))]
        # The second direction has more cycles, the first more instructions.
        code = compiled(loop(10, 30), loop(90, 100), loop(20, 80), loop(20, 40))
        cost = stages.warp_cost(stages.Work(loops, 0, 0, 0), code, self.dispatches[0], self.model)
        self.assertEqual((cost.alone, cost.issue), (2 * 30 + 10 * (80 + 40), 2 * 10 + 10 * 90))

    def test_the_last_block_is_outside_the_loop(self):
        for form, blocks in {"PAIRS 1, TABLE 1": 249, "PAIRS 2, TABLE 1, LAST 1": 249, "PAIRS 2, TABLE 1": 250}.items():
            text = PLAN.replace("OUTWARD 1", f"OUTWARD 1, {form}")
            dispatch = stages.parse_plan(text)[2][4]
            code = compiled(loop(900, 2000), loop(900, 2000), code=500)
            stage = stages.estimate(dispatch, self.shape, code, CARD, self.model)
            self.assertAlmostEqual(stage.bounds["latency"], (500 * 3 + blocks * 2000 + 3 * 250) / 1000)

    def test_many_warps_share_the_slots_of_a_scheduler(self):
        stage = self.of("softmax_stats", compiled(loop(10, 50), loop(10, 50, alu=20), code=1000))
        # 2000 workgroups of 4 warps: 20 warps per scheduler; two folds of 5 iterations, one of
        # which is bound by the ALU.
        self.assertAlmostEqual(stage.us, 20 * (1000 + 5 * 10 + 5 * 40) / 0.5 / 1000)
        self.assertEqual(stage.bound, "issue")

    def test_the_busiest_pipe_bounds_the_code_outside_loops(self):
        code = compiled(loop(10, 50, alu=10), code=1000)
        work = stages.Work([stages.Loop("one", 0)], 0, 0, 0)
        # Those of the whole code, without those of the loop. The last one is an earlier record.
        for pipes, slots in [({"alu": 610}, 1200), ({"alu": 310, "special": 130}, 1040), ({}, 1000)]:
            cost = stages.warp_cost(work, {**code, "pipes": pipes}, self.dispatches[0], self.model)
            self.assertEqual(cost.issue, slots)

    def test_large_batches_are_bound_by_their_bytes(self):
        shape = (2000, 400, 128, 500)
        stage = self.of("softmax_stats", compiled(loop(1, 1), loop(1, 1)), shape)
        self.assertAlmostEqual(stage.us, 4 * 2000 * 400 * 128 / 1000 / 1000)
        self.assertEqual((stage.bound, stage.beyond_l2), ("bytes", True))

    def test_registers_bound_the_resident_workgroups(self):
        few = self.of("grad", pipelines()[6]["compiled"]["ptxas"])
        code = copy.deepcopy(pipelines()[6]["compiled"]["ptxas"])
        code["registers"] = 255
        self.assertGreater(self.of("grad", code).bounds["latency"], few.bounds["latency"])

    def test_labels_are_sorted_level_by_level(self):
        stage = self.of("label_links", pipelines()[1]["compiled"]["ptxas"])
        # One chunk of 500 labels, two per lane, in 9 levels with 1 to 9 steps of the search.
        sort = 2 * 45 * 80 + 2 * 9 * (100 - 80) + 9 * (140 - 100)
        rest = 40 + 2 * (300 + 500 + 400) + (1500 - 300 - 140 - 500 - 400)
        self.assertAlmostEqual(stage.us, (sort + rest + 250) / 1000)
        longer = self.of("label_links", pipelines()[1]["compiled"]["ptxas"], (2000, 4, 128, 1025))
        # Three chunks of 512 labels.
        self.assertAlmostEqual(longer.us, (40 + 3 * (sort + rest - 40) + 250) / 1000)

    def test_inner_loops_are_counted_once(self):
        work = stages.Work([stages.Loop("inner", 10), stages.Loop("outer", 2, inner=1)], 0, 0, 0)
        cost = stages.warp_cost(work, compiled(loop(5, 20), loop(30, 100), code=-5), self.dispatches[0], self.model)
        self.assertEqual((cost.alone, cost.issue), (10 * 20 + 2 * 80, 10 * 5 + 2 * 25))

    def work_of(self, line):
        (dispatch,) = stages.parse_plan(PLAN.splitlines()[0] + "\n" + line)[2]
        return stages.work_of(dispatch, self.shape)

    def test_subgroups_fold_the_lanes_that_have_a_quad(self):
        line = "  grad                        1  2000 × 1 × 1                   640  by grad"
        # 126 quads: 7 levels.
        for variant, expected in {
            ", LANES 256": [("fold", 7)],
            ", LANES 32": [("fold", 5)],
            " with subgroups, LANES 32": [("fold", 5)],
            " with subgroups, LANES 256": [("fold", 5), ("fold of subgroups", 2)],
        }.items():
            loops = self.work_of(line + variant).loops
            self.assertEqual([(one.name, one.iterations) for one in loops if one.fold], expected)

    def test_warps_past_the_last_column_of_the_emission_table_write_nothing(self):
        line = "  softmax_stats               1  2000 × 1 × 1                    22  by softmax_stats"
        plain = self.work_of(f"{line}, LANES 256, ROW_VECTORS 1")
        work = self.work_of(f"{line}, LANES 256, WRITE_GATHERED 3, ROW_VECTORS 1")
        # 128 columns, one per class: four of eight warps.
        self.assertEqual((work.loops[-1].iterations, work.loops[-1].average), (1, 0.5))
        # 8,000 rows; each word moves half a sector.
        self.assertEqual(work.workspace - plain.workspace, 16 * 128 * 8000)
        narrow = self.work_of(f"{line}, LANES 8, ROWS 16, WRITE_GATHERED 3, ROW_VECTORS 4")
        self.assertEqual((narrow.loops[-1].iterations, narrow.loops[-1].average), (16, 16))

    def test_a_gradient_of_labels_only_moves_their_sectors(self):
        row = "  softmax_stats               1  2000 × 1 × 1                    22  by softmax_stats"
        once = self.work_of(f"{row}, LANES 32, ROW_VECTORS 1").batch
        self.assertEqual(self.work_of(f"{row}, LANES 32, ROW_VECTORS 1, WRITE_GRADIENT 1").batch, 2 * once)
        line = "  grad                        1  2000 × 1 × 1                   640  by grad, LANES 128"
        whole, of_labels = self.work_of(line), self.work_of(f"{line}, OF_LABELS 1")
        self.assertEqual(whole.batch, 2 * once)
        # 500 labels have a class in each of the 16 sectors of a row.
        self.assertEqual(of_labels.batch, whole.batch)
        self.assertEqual((whole.loops[-1].iterations, of_labels.loops[-1].iterations), (1, 4))

    def test_unrolled_folds_are_code_outside_loops(self):
        rolled = self.of("join", compiled(loop(400, 3000), loop(200, 600), loop(10, 50)))
        unrolled = self.of("join", compiled(loop(400, 3000), loop(200, 600), code=60))
        self.assertAlmostEqual(rolled.bounds["latency"] - 6 * 50 / 1000, unrolled.bounds["latency"] - 60 * 3 / 1000)

    def test_loops_that_the_model_does_not_know_are_refused(self):
        with self.assertRaisesRegex(stages.NoEstimate, "`sweep` compiled to 3 loops; the model has 2: blocks"):
            self.of("sweep inward", compiled(loop(1, 1), loop(1, 1), loop(1, 1)))
        nested = {**loop(1, 1), "inner": 1}
        with self.assertRaisesRegex(stages.NoEstimate, "compiled to 2 loops"):
            self.of("softmax_stats", compiled(loop(1, 1), nested))


class Rows(unittest.TestCase):
    def setUp(self):
        self.model = constants()
        (self.row,) = model.rows_of(data(), CARD, self.model)

    def test_a_row_adds_its_stages_and_starts(self):
        of_stages = sum(stage.us for stage in self.row["stages"].values())
        # `label_links` and `join` run beside the sweeps, which take longer.
        of_stages -= self.row["stages"]["label_links"].us + self.row["stages"]["join"].us
        self.assertAlmostEqual(self.row["sum_us"], of_stages + 1 + 4 * 2)
        self.assertAlmostEqual(self.row["us_per_frame"], self.row["sum_us"] / 2000)
        self.assertAlmostEqual(self.row["copy_share"], 12 * 2000 * 4 * 128 / self.row["sum_us"] / 1e3 / 1000)

    def test_stages_that_wait_for_each_other_do_not_overlap(self):
        earlier = data()
        earlier["plans"][0] |= {"text": EARLIER_PLAN, "pipelines": ["check_labels", "label_links", "softmax_stats", "in", "join", "out", "grad"]}
        (row,) = model.rows_of(earlier, CARD, self.model)
        of_stages = sum(stage.us for stage in row["stages"].values())
        self.assertAlmostEqual(row["sum_us"], of_stages + 1 + 6 * 2)

    def test_a_stage_that_was_not_compiled_leaves_the_sum_open(self):
        broken = data()
        broken["pipelines"][4]["compiled"] = {}
        (row,) = model.rows_of(broken, CARD, self.model)
        self.assertEqual(row["missing"], {"join": "pipeline `join` was not compiled by absent or ptxas"})
        self.assertNotIn("sum_us", row)
        self.assertIn("none for join: pipeline `join` was not compiled", model_page.text([row]))

    def test_every_line_is_marked_as_an_estimate(self):
        lines = model_page.text([self.row]).splitlines()
        measured = [{"shape": [2000, 4, 128, 500], "stages_us": {"label_links": 9.0, "grad": 8.0}}]
        lines += model.compare([self.row], measured, CARD, self.model["calibration"])
        self.assertGreater(len(lines), 5)
        self.assertEqual([line for line in lines if not line.startswith("estimate  ")], [])

    def test_a_fitted_constant_makes_the_estimate_what_was_measured(self):
        calibration = self.model["calibration"]
        for name, stage in self.row["stages"].items():
            measured = 1.25 * model.timed_us(stage, calibration)
            constant, value = model.fit(name, stage, measured, CARD, calibration)
            changed, card = copy.deepcopy(self.model), dict(CARD)
            (changed["calibration"] if constant in calibration else card)[constant] = value
            (row,) = model.rows_of(data(), card, changed)
            timed = model.timed_us(row["stages"][name], changed["calibration"])
            self.assertAlmostEqual(timed, measured, msg=f"{name} by {constant}")

    def test_measurements_are_found_wherever_they_are(self):
        one = {"shape": [1, 2, 3, 4], "stages_us": {"grad": 1.0}}
        self.assertEqual(model.measurements({"steps": [{"output": [one, {"shape": [1]}]}]}), [one])

    def compared(self, excess_us, copying):
        """Compares the row with itself, except that the whole batch takes `excess_us` more."""
        calibration = self.model["calibration"]
        times = {name: model.timed_us(stage, calibration) for name, stage in self.row["stages"].items()}
        whole = (self.row["sum_us"] + excess_us) / 1e3
        measured = {"shape": self.row["shape"], "stages_us": times, "median_ms": whole, "copy_gb_per_s": copying}
        return model.compare([self.row], [measured], CARD, calibration)

    def test_starts_and_copying_are_fitted_where_they_were_measured(self):
        lines = "\n".join(self.compared(-12, 900.0))
        # 12 µs less for six stages, whose time stamps are not those of the batch.
        self.assertIn("start_us: now 1, median of fits 3:", lines)
        self.assertIn("gap_us: now 2, median of fits 2:", lines)
        self.assertIn("copy_gb_per_s: now 1000, median of fits 900:", lines)

    def test_a_fit_outside_its_range_is_not_recommended(self):
        of = {line.split()[1]: line for line in self.compared(60, 9000.0) if ": now " in line}
        self.assertEqual(
            of["start_us:"],
            "estimate  start_us: now 1, no fit inside its range: -9 (2000, 4, 128, 500) outside its range; "
            "its range is 0 to 20",
        )
        self.assertIn("no fit inside its range: 9000 (", of["copy_gb_per_s:"])
        share = model.recommended("issue_efficiency", 0.5, [("a", 1.5), ("b", 0.25), ("c", 0.75)])
        self.assertEqual(
            share,
            "estimate  issue_efficiency: now 0.5, median of fits 0.5: 1.5 (a) outside its range; "
            "0.25 (b); 0.75 (c); its range is 0.1 to 1",
        )

    def test_every_constant_that_a_fit_sets_contains_its_own_value_in_its_range(self):
        described = model.values(json.loads(model.CONSTANTS.read_text()))
        for name in model.RANGES:
            least, most = model.range_of(name, described["calibration"][name])
            self.assertTrue(least <= described["calibration"][name] <= most, name)

    def test_another_adapter_than_the_card_is_warned_of(self):
        names = {
            "NVIDIA H100 80GB HBM3": "H100",
            "NVIDIA H100-SXM5": "H100",
            "NVIDIA GeForce RTX 4090": "RTX 4090",
            "NVIDIA H200": "H200",
        }
        cards = json.loads(model.CONSTANTS.read_text())["cards"]
        for adapter, card in names.items():
            self.assertEqual([name for name in cards if model.is_card(adapter, name)], [card])
        for adapter in ("NVIDIA GH200 480GB", "llvmpipe (LLVM 15.0.6, 256 bits)", "NVIDIA GeForce RTX 4080"):
            self.assertEqual([name for name in cards if model.is_card(adapter, name)], [])
        measured = [{"adapter": "NVIDIA H200"}, {"adapter": "NVIDIA H100"}, {}]
        lines = model.other_adapters(measured, "H100", {"name": "NVIDIA H100 SXM"})
        self.assertEqual(len(lines), 2)
        self.assertTrue(lines[0].startswith("estimate  warning: measured on NVIDIA H200, not on NVIDIA H100 SXM"))
        self.assertIn("an adapter without a name", lines[1])

    def test_a_card_is_named_in_any_case(self):
        cards = ["H100", "RTX 4090"]
        self.assertEqual(model.card_named("h100", cards), "H100")
        self.assertEqual(model.card_named("rtx 4090", cards), "RTX 4090")
        self.assertEqual(model.card_named("A100", cards), "A100")

    def test_a_page_keeps_its_notes(self):
        described = json.loads(model.CONSTANTS.read_text())
        described["earlier_estimates"]["card"] = "H100"
        with tempfile.TemporaryDirectory() as folder:
            page = Path(folder) / "page.md"
            for notes in ("", "\n## Notes\n\nWritten by hand.\n"):
                page.write_text((page.read_text() if page.exists() else "") + notes)
                model_page.write(page, Path("x-compilers.json"), data(), described, self.model, {"H100": [self.row]})
            text = page.read_text()
        self.assertTrue(text.startswith("# Estimates of the time by stage on NVIDIA H100 SXM: nothing here was measured"))
        self.assertEqual(text.count("## Notes\n\nWritten by hand.\n"), 1)
        self.assertIn("| estimate | 2000, 4, 128, 500 |", text)


if __name__ == "__main__":
    unittest.main()
