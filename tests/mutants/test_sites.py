"""Tests that every mutant has exactly one place, whatever the names, comments and layout are."""

import copy
import unittest

import lists
import sites


def rewritten(text, suffix, rename, between):
    """Returns `text` with other names, and with `between` applied to comments and white space."""
    new, at = "", 0
    for token in sites.tokens_of(text, suffix):
        new += between(text[at : token.start])
        new += rename(token.text) if token.shape == "$" else token.text
        at = token.end
    return new + between(text[at:])


def words(text, suffix):
    return [token.text for token in sites.tokens_of(text, suffix)]


def replaced(place):
    """Returns the indices of the tokens that a mutation replaces."""
    tokens = enumerate(place.source.tokens)
    return [i for i, token in tokens if place.start <= token.start < place.end]


def side(suffix, *texts):
    return sites.Side(sites.Source(f"{n}{suffix}", text) for n, text in enumerate(texts))


class Lists(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sides = lists.sides()
        cls.mutants = lists.read(lists.MUTANTS)
        cls.killed = lists.read(lists.KILLED)
        cls.survivors = lists.read(lists.SURVIVORS)

    def check(self, mutants, killed=None, survivors=None):
        return lists.checked(mutants, self.sides, killed or {}, survivors or {})

    def test_the_lists_fit_the_sources(self):
        self.assertEqual(self.check(self.mutants, self.killed, self.survivors), [])

    def test_the_report_is_the_current_one(self):
        report = lists.report(self.mutants, self.killed, self.survivors)
        self.assertEqual(lists.RESULTS.read_text(), report, "run tests/mutants/run.py --refresh")

    def test_no_word_that_windows_keep_is_a_name_of_the_project(self):
        # Else a rename would break sites.
        for source in (source for side in self.sides.values() for source in side.sources.values()):
            tokens = source.tokens
            for before, token, after in zip(tokens, tokens[1:], tokens[2:]):
                is_item = before.text in ("fn", "struct", "enum", "const", "override")
                is_field = before.text in ("(", ")", ",", "{") and after.text == ":"
                if (is_item or is_field) and token.text not in ("fn", "_"):
                    self.assertEqual(token.shape, "$", f"{source.name} declares {token.text}")

    def test_what_is_wrong_with_a_list_is_reported(self):
        first = self.mutants[0]
        reason = "a reason that is long enough to be one, more than 40 characters"
        lists_and_errors = [
            (self.mutants, {"none": "test"}, {}, "none: is in killed.json but is not a mutant"),
            (self.mutants, {}, {"none": reason}, "none: is in survivors.json but is not a mutant"),
            (self.mutants, {}, {first["id"]: "short"}, f"{first['id']}: needs a reason"),
            (self.mutants, {first["id"]: "test"}, {first["id"]: reason}, "both killed and"),
            ([*self.mutants, first], {}, {}, "two mutants have this id"),
            ([*self.mutants, first | {"id": "other"}], {}, {}, "other: is the same mutant as"),
            ([first | {"before": "stale"}, *self.mutants[1:]], {}, {}, "the text is stale"),
            ([m for m in self.mutants if m["file"] != first["file"]], {}, {}, "has no mutants"),
        ]
        for mutants, killed, survivors, error in lists_and_errors:
            with self.subTest(error):
                [line] = self.check(mutants, killed, survivors)
                self.assertIn(error, line)

    def test_a_mutant_that_changes_nothing_is_reported(self):
        mutant = copy.deepcopy(self.mutants[0])
        mutant["site"]["to"] = lists.place(mutant, self.sides).before
        self.assertIn(f"{mutant['id']}: changes nothing", self.check([mutant]))

    def test_a_site_that_is_lost_is_reported(self):
        mutant = copy.deepcopy(self.mutants[0])
        mutant["site"]["from"] += " never_there"
        self.assertIn("matches 0 places", self.check([mutant])[0])

    def test_any_wording_leaves_each_mutant_in_its_place(self):
        def comments(text):
            return "\n// Other words.\n" if text.strip() else text

        def lines(text):
            return " /* Other words. */\n"

        rewrites = {
            "names": (lambda name: f"{name}_renamed", str),
            "names, all alike": (lambda name: "name", str),
            "comments": (str, comments),
            "everything": (lambda name: f"{name}_x", lines),
        }
        for what, wording in rewrites.items():
            sides = {
                suffix: sites.Side(
                    # In another folder, too.
                    sites.Source(f"moved/{name}", rewritten(source.text, suffix, *wording))
                    for name, source in side.sources.items()
                )
                for suffix, side in self.sides.items()
            }
            for mutant in self.mutants:
                with self.subTest(what, mutant=mutant["id"]):
                    before = lists.place(mutant, self.sides)
                    after = lists.place(mutant, sides)
                    self.assertEqual(after.source.name, f"moved/{before.source.name}")
                    self.assertEqual(replaced(after), replaced(before))
                    if what == "everything":
                        suffix = before.source.suffix
                        expected = rewritten(before.mutated, suffix, *wording)
                        self.assertEqual(words(after.mutated, suffix), words(expected, suffix))
                    # The lists can be brought up to date, and the sites stay.
                    now = lists.refreshed(mutant, sides)
                    self.assertEqual(now["file"], after.source.name)
                    self.assertEqual(now["site"], mutant["site"])


class Sites(unittest.TestCase):
    def test_a_new_mutant_needs_only_its_text(self):
        source = "fn f() {\n    let a = b + 1u;\n    let c = b - 1u;\n}\n"
        mutant = {"what": "adds the one", "file": "0.wgsl", "before": "b - 1u", "after": "b + 1u"}
        new = lists.refreshed(mutant, {".wgsl": side(".wgsl", source)})
        self.assertEqual(new["id"], "adds-one")
        self.assertEqual(
            new["site"], {"left": "", "from": "$1 - 1u", "right": "", "to": "$1 + 1u"}
        )

    def test_a_window_is_as_wide_as_it_takes_to_be_unique(self):
        text = "fn f() { a = b; } fn g() { return; a = b; }"
        site = side(".wgsl", text).site("0.wgsl", "return; a = b", "return; b = b")
        self.assertEqual(site["left"] + site["right"], "")
        here = side(".wgsl", text)
        site = here.site("0.wgsl", "a = b", "b = b", text.index("a = b"))
        self.assertEqual((site["left"], site["right"]), ("{", ""))
        self.assertEqual(here.place(site).mutated, text.replace("a = b", "b = b", 1))

    def test_a_window_that_occurs_twice_is_an_error(self):
        text = "fn f() { a = b; }"
        site = side(".wgsl", text).site("0.wgsl", "a = b", "b = b")
        with self.assertRaisesRegex(sites.SiteError, r"matches 2 places .*0.wgsl, 1.wgsl"):
            side(".wgsl", text, text.replace("a", "x")).place(site)

    def test_a_site_that_has_become_ambiguous_is_widened(self):
        old = "fn f() { a = b; }"
        site = side(".wgsl", old).site("0.wgsl", "a = b", "b = b")
        mutant = {"id": "m", "what": "m", "file": "0.wgsl", "before": "a = b", "after": "b = b"}
        sides = {".wgsl": side(".wgsl", old, "fn f() { return; x = y; }")}
        new = lists.refreshed(mutant | {"site": site}, sides)
        self.assertEqual(lists.place(new, sides).mutated, "fn f() { b = b; }")

    def test_text_that_occurs_twice_needs_more_of_its_context(self):
        with self.assertRaisesRegex(sites.SiteError, "does not occur exactly once"):
            side(".wgsl", "a = b; a = b;").site("0.wgsl", "a = b", "b = b")

    def test_a_name_that_is_far_away_has_a_window_of_its_own(self):
        text = "const LIMIT: u32 = 9u; fn f() { " + "call(); " * 9 + "a = b; }"
        site = side(".wgsl", text).site("0.wgsl", "a = b", "a = LIMIT")
        self.assertEqual(site["to"], "$1 = $2")
        self.assertIn("$2", site["names"])
        renamed = side(".wgsl", text.replace("LIMIT", "MOST")).place(site)
        self.assertEqual(renamed.after, "a = MOST")
        with self.assertRaisesRegex(sites.SiteError, "no source has the name 'NOWHERE'"):
            side(".wgsl", text).site("0.wgsl", "a = b", "a = NOWHERE")

    def test_each_name_is_copied_from_its_own_place(self):
        site = side(".wgsl", "x = m.m * n.m;").site("0.wgsl", "m.m * n.m", "m.m + n.m")
        place = side(".wgsl", "x = m.scale * k.scale;").place(site)
        self.assertEqual(place.mutated, "x = m.scale + k.scale;")

    def test_a_part_of_a_token_is_the_whole_token(self):
        here = side(".wgsl", "x = 0.3333 * y;")
        self.assertEqual(here.place(here.site("0.wgsl", "0.33", "0.43")).mutated, "x = 0.4333 * y;")

    def test_rustfmt_may_break_lines(self):
        short = "fn f() { match a { A => b(c, 1), B => g(|x| x + 1) } }"
        long = "fn f() { match a { A => { b(\nc,\n1,\n) } B => {\ng(\n|x| {\nx + 1 },\n) } } }"
        for before, after in [
            ("A => b(c, 1)", "A => b(c, 2)"),
            ("b(c, 1)", "c(c, 1)"),
            ("|x| x + 1", "|x| x - 1"),
            ("g(|x| x + 1)", "g(|x| x)"),
        ]:
            site = side(".rs", short).site("0.rs", before, after)
            for text in (short, long):
                with self.subTest(before, text=text):
                    here = side(".rs", text)
                    mutated = here.place(site).mutated
                    self.assertEqual(mutated.count("{"), mutated.count("}"))
                    expected = side(".rs", short.replace(before, after)).sources["0.rs"]
                    self.assertEqual(sites.Source("0.rs", mutated).shapes, expected.shapes)

    def test_builtins_keep_their_names(self):
        here = side(".wgsl", "x = max(max, b); y = min(a, b);")
        self.assertEqual(list(here.find("max ( $ , $ )".split())), [(here.sources["0.wgsl"], 3)])


if __name__ == "__main__":
    unittest.main()
