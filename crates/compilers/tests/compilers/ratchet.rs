//! Compares a compiler's figures of every pipeline with reference figures, and fails if one rises.
//!
//! The reference is a tab-separated file: one line per pipeline, sorted, and one column per GPU
//! family.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};

/// The largest rise that passes, in per cent.
const TOLERANCE: u64 = 5;

/// The command that rewrites the reference.
pub(crate) const REWRITE: &str = "cargo test -p ctc-wgpu-compilers -- --ignored write_aco_tsv";

/// The cell of a pipeline that a family cannot run.
const NOT_RUN: &str = "-";

/// The names of the figures in a cell, in order.
const NAMES: [&str; 4] = ["VGPRs", "spilled VGPRs", "spilled SGPRs", "bytes of code"];

/// The figures of one pipeline on one family, in the order of `NAMES`.
pub(crate) type Figures = [u64; 4];

/// The figures of every pipeline on every family, from one version of the compiler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Table {
    /// The version of the compiler.
    version: String,
    families: Vec<String>,
    /// By pipeline, in the order of the families. `None` if the family cannot run the pipeline.
    rows: BTreeMap<String, Vec<Option<Figures>>>,
}

impl Table {
    /// Makes the table of one family.
    ///
    /// # Panics
    /// If two pipelines have the same name.
    pub(crate) fn of_family(
        version: &str,
        family: &str,
        pipelines: impl IntoIterator<Item = (String, Option<Figures>)>,
    ) -> Self {
        let mut rows = BTreeMap::new();
        for (pipeline, figures) in pipelines {
            if let Some(before) = rows.insert(pipeline.clone(), vec![figures]) {
                panic!("two pipelines are called {pipeline}: {before:?} and {figures:?}");
            }
        }
        Self {
            version: version.to_owned(),
            families: vec![family.to_owned()],
            rows,
        }
    }

    /// Renames the only family of a table.
    pub(crate) fn renamed(mut self, family: &str) -> Self {
        assert_eq!(self.families.len(), 1);
        self.families = vec![family.to_owned()];
        self
    }

    /// Adds the families of `other`.
    ///
    /// # Panics
    /// If the version or the pipelines differ.
    pub(crate) fn beside(mut self, other: &Self) -> Self {
        assert_eq!(self.version, other.version);
        assert!(
            self.rows.keys().eq(other.rows.keys()),
            "{:?} and {:?} are of different pipelines",
            self.families,
            other.families
        );
        self.families.extend_from_slice(&other.families);
        for (row, others) in self.rows.values_mut().zip(other.rows.values()) {
            row.extend_from_slice(others);
        }
        self
    }

    /// Parses the format that `Display` writes.
    ///
    /// # Errors
    /// If a line is malformed.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut lines = (1..)
            .zip(text.lines())
            .filter(|(_, line)| !line.starts_with('#'));
        let (_, head) = lines.next().ok_or("the table is empty")?;
        let mut head = head.split('\t').map(str::to_owned);
        let version = head.next().unwrap_or_default();
        let families: Vec<_> = head.collect();
        let mut rows = BTreeMap::new();
        for (number, line) in lines {
            let wrong = |what| format!("line {number} {what}: {line}");
            let mut cells = line.split('\t');
            let pipeline = cells.next().unwrap_or_default().to_owned();
            let row: Option<Vec<_>> = cells.map(parsed).collect();
            let row = row.ok_or_else(|| wrong("has a malformed cell"))?;
            if row.len() != families.len() {
                return Err(wrong("does not have one cell per family"));
            }
            if rows.insert(pipeline, row).is_some() {
                return Err(wrong("repeats a pipeline"));
            }
        }
        Ok(Self {
            version,
            families,
            rows,
        })
    }

    /// Returns the figures by pipeline and family, without those that cannot run.
    fn cells(&self) -> BTreeMap<(&str, &str), Figures> {
        let rows = self.rows.iter();
        rows.flat_map(|(pipeline, row)| {
            let row = self.families.iter().zip(row);
            row.filter_map(move |(family, figures)| {
                Some(((pipeline.as_str(), family.as_str()), (*figures)?))
            })
        })
        .collect()
    }

    /// Counts the pipelines of each family and those that spill, one line per family.
    pub(crate) fn spills(&self) -> String {
        let mut text = String::new();
        let cells = self.cells();
        for family in &self.families {
            let of_family: Vec<_> = cells.iter().filter(|((_, of), _)| of == family).collect();
            let spilled = |which: usize| {
                let spill = of_family.iter().filter(|(_, figures)| figures[which] > 0);
                spill.count()
            };
            let _ = writeln!(
                text,
                "{family}: {} pipelines; {} spill VGPRs, {} spill SGPRs",
                of_family.len(),
                spilled(1),
                spilled(2)
            );
        }
        text
    }
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "# {}, of each pipeline on each GPU family; {NOT_RUN} where f16 is unsupported.",
            NAMES.join(", ")
        )?;
        writeln!(out, "# Written by: {REWRITE}")?;
        writeln!(out, "{}\t{}", self.version, self.families.join("\t"))?;
        for (pipeline, row) in &self.rows {
            write!(out, "{pipeline}")?;
            for figures in row {
                match figures {
                    Some([vgprs, vectors, scalars, bytes]) => {
                        write!(out, "\t{vgprs} {vectors} {scalars} {bytes}")?;
                    }
                    None => write!(out, "\t{NOT_RUN}")?,
                }
            }
            writeln!(out)?;
        }
        Ok(())
    }
}

/// Parses a cell. Returns `None` if it is malformed.
fn parsed(cell: &str) -> Option<Option<Figures>> {
    if cell == NOT_RUN {
        return Some(None);
    }
    let figures: Vec<_> = cell
        .split(' ')
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    Some(Some(figures.try_into().ok()?))
}

/// Compares `now` with the reference `file`, and returns a summary of one line.
///
/// Figures of different versions of the compiler are not compared.
///
/// # Errors
/// If a figure rises by more than `TOLERANCE` per cent or from zero, or if the pipelines differ.
/// The error lists every difference and the command that rewrites the reference.
pub(crate) fn compared(file: &Table, now: &Table) -> Result<String, String> {
    if file.version != now.version {
        return Ok(format!(
            "nothing compared: the reference is for {}, but {} is installed",
            file.version, now.version
        ));
    }
    let (before, after) = (file.cells(), now.cells());
    let mut risen = String::new();
    let (mut rises, mut falls) = (0, 0);
    for (key @ (pipeline, family), figures) in &after {
        let Some(reference) = before.get(key) else {
            continue;
        };
        let changes = NAMES.iter().zip(reference.iter().zip(figures));
        let rising: Vec<_> = changes
            .filter(|(_, (reference, new))| *new * 100 > *reference * (100 + TOLERANCE))
            .map(|(name, (reference, new))| change(name, *reference, *new))
            .collect();
        if !rising.is_empty() {
            rises += 1;
            let _ = writeln!(risen, "  {family}: {pipeline}: {}", rising.join(", "));
        }
        falls += usize::from(
            reference
                .iter()
                .zip(figures)
                .any(|(reference, new)| new < reference),
        );
    }
    let old: BTreeSet<_> = before.keys().collect();
    let new: BTreeSet<_> = after.keys().collect();

    let mut found = Vec::new();
    if rises > 0 {
        found.push(format!(
            "{rises} of {} programs need over {TOLERANCE} % more than the reference:\n{risen}",
            after.len()
        ));
    }
    for (what, missing) in [
        ("missing from the reference", new.difference(&old)),
        ("stale in the reference", old.difference(&new)),
    ] {
        let mut families: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (pipeline, family) in missing {
            families.entry(pipeline).or_default().push(*family);
        }
        let lines = families.iter();
        let lines: Vec<_> = lines
            .map(|(pipeline, families)| format!("  {}: {pipeline}\n", families.join(", ")))
            .collect();
        if !lines.is_empty() {
            found.push(format!("{} {what}:\n{}", lines.len(), lines.concat()));
        }
    }
    if found.is_empty() {
        Ok(format!(
            "{} programs compared ({}): no rise above {TOLERANCE} %, {falls} with a fall",
            after.len(),
            now.version
        ))
    } else {
        Err(format!(
            "{}If this is intended, rewrite the reference and commit it:\n  {REWRITE}",
            found.concat()
        ))
    }
}

fn change(name: &str, before: u64, after: u64) -> String {
    match ((after - before) * 1000).checked_div(before) {
        Some(rise) => format!("{name} {before} → {after} (+{}.{} %)", rise / 10, rise % 10),
        None => format!("{name} {before} → {after}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Table, compared};

    fn table(version: &str, pipelines: &[(&str, Figures)]) -> Table {
        let rows = pipelines.iter();
        let rows = rows.map(|(name, figures)| ((*name).to_owned(), Some(*figures)));
        Table::of_family(version, "navi21", rows)
    }

    /// Compares a single pipeline.
    fn compare(before: Figures, after: Figures) -> Result<String, String> {
        compared(
            &table("Mesa 1", &[("sweep OUTWARD=1", before)]),
            &table("Mesa 1", &[("sweep OUTWARD=1", after)]),
        )
    }

    #[test]
    fn a_rise_of_four_or_five_per_cent_passes_and_so_does_any_fall() {
        let reference = [100, 100, 100, 10_000];
        for passes in [reference, [104, 105, 104, 10_500], [1, 0, 0, 4]] {
            compare(reference, passes).unwrap();
        }
        let message = compare(reference, [100, 99, 100, 10_000]).unwrap();
        assert!(message.contains("1 with a fall"), "{message}");
    }

    #[test]
    fn a_rise_of_six_per_cent_fails_whichever_figure_rises_and_the_failure_names_it() {
        let reference = [100, 200, 300, 10_000];
        for (which, named) in [
            "VGPRs 100 → 106 (+6.0 %)",
            "spilled VGPRs 200 → 212 (+6.0 %)",
            "spilled SGPRs 300 → 318 (+6.0 %)",
            "bytes of code 10000 → 10600 (+6.0 %)",
        ]
        .iter()
        .enumerate()
        {
            let mut risen = reference;
            risen[which] += risen[which] * 6 / 100;
            let message = compare(reference, risen).unwrap_err();
            let line = format!(
                "1 of 1 programs need over 5 % more than the reference:\n  navi21: sweep OUTWARD=1: {named}\n"
            );
            assert!(message.contains(&line), "{message}");
            assert!(message.contains("--ignored write_aco_tsv"), "{message}");
        }
    }

    #[test]
    fn the_first_register_that_spills_is_a_failure() {
        let message = compare([100, 0, 0, 10_000], [100, 1, 0, 10_000]).unwrap_err();
        assert!(
            message.contains("OUTWARD=1: spilled VGPRs 0 → 1\n"),
            "{message}"
        );
    }

    #[test]
    fn a_pipeline_missing_from_the_reference_and_a_stale_one_are_failures() {
        let figures = [1, 0, 0, 4];
        let old = table("Mesa 1", &[("label_links", figures), ("gone", figures)]);
        let new = table("Mesa 1", &[("label_links", figures), ("made", figures)]);
        let message = compared(&old, &new).unwrap_err();
        assert!(
            message.contains("1 missing from the reference:\n  navi21: made\n"),
            "{message}"
        );
        assert!(
            message.contains("1 stale in the reference:\n  navi21: gone\n"),
            "{message}"
        );
    }

    #[test]
    fn a_family_that_no_longer_runs_a_pipeline_is_a_failure() {
        let reference = table("Mesa 1", &[("grad f16", [1, 0, 0, 4])]);
        let now = Table::of_family("Mesa 1", "navi21", [("grad f16".to_owned(), None)]);
        let message = compared(&reference, &now).unwrap_err();
        assert!(
            message.contains("1 stale in the reference:\n  navi21: grad f16\n"),
            "{message}"
        );
    }

    #[test]
    fn figures_of_another_version_are_not_compared() {
        let reference = table("Mesa 1", &[("label_links", [1, 0, 0, 4])]);
        let now = table("Mesa 2", &[("grad", [9, 9, 9, 9])]);
        let message = compared(&reference, &now).unwrap();
        assert!(message.contains("nothing compared"), "{message}");
        assert!(
            message.contains("Mesa 1") && message.contains("Mesa 2"),
            "{message}"
        );
        assert_eq!(message.lines().count(), 1);
    }

    #[test]
    fn a_table_of_two_families_survives_writing_and_parsing() {
        let navi = table(
            "Mesa 1",
            &[("grad", [9, 1, 2, 3]), ("label_links", [1, 0, 0, 4])],
        );
        let polaris = [("label_links", None), ("grad", Some([8, 0, 0, 7]))];
        let polaris = polaris.map(|(name, figures)| (name.to_owned(), figures));
        let both = navi.beside(&Table::of_family("Mesa 1", "polaris10", polaris));
        let text = both.to_string();
        assert!(
            text.ends_with(
                "Mesa 1\tnavi21\tpolaris10\ngrad\t9 1 2 3\t8 0 0 7\nlabel_links\t1 0 0 4\t-\n"
            ),
            "{text}"
        );
        assert_eq!(Table::parse(&text).unwrap(), both);
    }

    #[test]
    fn a_malformed_line_is_an_error_with_its_number() {
        let head = "Mesa 1\tnavi21\tgfx1100\n";
        for wrong in [
            "label_links\t1 0 0 4",
            "label_links\t1 0 0 4\t1 0 0",
            "label_links\t1 0 0 4\t1 0 0 x",
            "",
            "grad\t-\t-\ngrad\t-\t-",
        ] {
            let message = Table::parse(&format!("{head}{wrong}\n")).unwrap_err();
            assert!(message.contains("line "), "{wrong:?}: {message}");
        }
        Table::parse("").unwrap_err();
    }
}
