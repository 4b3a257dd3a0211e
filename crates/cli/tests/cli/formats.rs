//! Every output format is valid for every symbol; parsers of other projects read it back.

use std::path::Path;
use std::process::Command;

use crate::support::{Npz, command, data, json, rejected, save, scratch, spelling, tool};

/// Symbols that would break a format if they were not escaped, and each as one word, for CTM.
const SYMBOLS: [(&str, &str); 16] = [
    (" ", "<space>"),
    ("", "<eps>"),
    ("a b", "a\\u{20}b"),
    ("\t", "\\u{9}"),
    ("c\td", "c\\u{9}d"),
    ("\n", "\\u{a}"),
    ("\"", "\""),
    ("\"\"x", "\"\"x"),
    ("<&>'", "<&>'"),
    ("]]>", "]]>"),
    ("\u{1b}[31m", "\\u{1b}[31m"),
    ("\u{7}\u{0}", "\\u{7}\\u{0}"),
    ("\u{a0}e\u{3000}", "\\u{a0}e\\u{3000}"),
    ("\u{202e}f\u{2028}", "\\u{202e}f\\u{2028}"),
    ("\u{fffe}\u{85}", "\\u{fffe}\\u{85}"),
    ("é\\%{};", "é\\%{};"),
];

/// Returns a batch that decodes to all of them, and their alphabet as JSON, which can hold any
/// symbol.
fn everything(name: &str) -> [String; 2] {
    let labels: Vec<i32> = (1..).take(SYMBOLS.len()).collect();
    let batch = spelling(&labels, SYMBOLS.len() + 1, 0).save(&format!("{name}.npz"));
    let symbols: Vec<&str> = SYMBOLS.iter().map(|(symbol, _)| *symbol).collect();
    let alphabet = serde_json::to_string(&symbols).expect("JSON");
    [batch, save(&format!("{name}.json"), alphabet.as_bytes())]
}

/// Returns the output of `align` in this format.
fn aligned(name: &str, format: &str) -> String {
    let [batch, alphabet] = everything(name);
    let run = tool(["align", &batch, "--alphabet", &alphabet, "--format", format]);
    assert_eq!((run.status, &*run.stderr), (0, ""));
    run.stdout
}

/// Asserts that no character controls a terminal.
#[track_caller]
fn assert_harmless(text: &str) {
    let controls = |c: char| c.is_control() && c != '\n' || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(controls), "{text:?}");
}

#[test]
fn ctm_has_six_fields_for_every_symbol() {
    let text = aligned("ctm", "ctm");
    assert_harmless(&text);
    let rows: Vec<&str> = text.lines().collect();
    assert_eq!(rows.len(), SYMBOLS.len(), "{text}");
    for (row, (_, word)) in rows.iter().zip(SYMBOLS) {
        let fields: Vec<&str> = row.split_whitespace().collect();
        assert_eq!((fields.len(), fields[4]), (6, word), "{row}");
    }
}

#[test]
fn the_table_has_four_cells_for_every_symbol_and_no_control_character() {
    let text = aligned("table", "table");
    assert_harmless(&text);
    // A line for the item, the header, and one row per symbol.
    assert_eq!(text.lines().count(), 2 + SYMBOLS.len(), "{text}");
    for row in text.lines().skip(2) {
        assert!(row.split_whitespace().count() >= 4, "{row}");
    }
    let [batch, alphabet] = everything("decode");
    let run = tool(["decode", &batch, "--alphabet", &alphabet]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert_harmless(&run.stdout);
    let report = json(&["decode", &batch, "--alphabet", &alphabet, "--separator", ""]);
    let whole: String = SYMBOLS.iter().map(|(symbol, _)| *symbol).collect();
    assert_eq!(report["items"][0]["hypotheses"][0]["text"], whole);
}

#[test]
fn the_plot_is_xml_for_every_symbol() {
    let [batch, alphabet] = everything("plot");
    let path = scratch("everything.svg");
    let picture = path.to_str().expect("UTF-8");
    let flags = ["--item", "0", "--plot", picture];
    let run = tool([&["align", &batch, "--alphabet", &alphabet][..], &flags].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    let svg = std::fs::read_to_string(&path).expect("the picture");
    let xml = roxmltree::Document::parse(&svg).expect("well-formed XML");
    let texts: Vec<&str> = xml
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .map(str::trim)
        .collect();
    for label in [
        "<space>",
        "<eps>",
        "a b",
        "c\\u{9}d",
        "<&>'",
        "]]>",
        "\\u{a0}e\\u{3000}",
    ] {
        assert!(texts.contains(&label), "no {label:?} in {texts:?}");
    }
}

/// Runs a Python script with praatio, a parser of TextGrids, which is installed into the tests'
/// folder if it is missing.
fn praatio(script: &str, file: &Path) -> serde_json::Value {
    let packages = Path::new(env!("CARGO_TARGET_TMPDIR")).join("praatio-6.2.2");
    let python = |arguments: &[&str]| {
        let name = if cfg!(windows) { "python" } else { "python3" };
        let mut python = Command::new(name);
        python.args(arguments).env("PYTHONPATH", &packages);
        let output = python.output().expect("python3 starts");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        output.stdout
    };
    let target = packages.to_str().expect("UTF-8");
    if !packages.join("praatio").exists() {
        let quiet = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--root-user-action=ignore",
            "--target",
            target,
        ];
        python(&[&quiet[..], &["praatio==6.2.2"]].concat());
    }
    let printed = python(&["-c", script, file.to_str().expect("UTF-8")]);
    serde_json::from_slice(&printed).expect("JSON")
}

/// Prints each tier's length and intervals.
const TIERS: &str = "
import json, sys
from praatio import textgrid
grid = textgrid.openTextgrid(sys.argv[1], includeEmptyIntervals=True, reportingMode='error')
print(json.dumps([[tier.maxTimestamp, [list(entry) for entry in tier.entries]] for tier in grid.tiers]))
";

#[test]
fn praatio_reads_the_textgrid_of_every_symbol() {
    let every = save(
        "everything.TextGrid",
        aligned("grid", "textgrid").as_bytes(),
    );
    let two = Npz::small()
        .with("labels", &[2, 3], &[1_i32, 1, 1, 2, 1, 1])
        .with("label_lengths", &[2], &[3_i32, 2])
        .with("logit_lengths", &[2], &[4_i32, 3])
        .save("two.npz");
    let run = tool(["align", &two, "--format", "textgrid", "--frame", "0.0125"]);
    let two = save("two.TextGrid", run.stdout.as_bytes());

    let tiers = praatio(TIERS, every.as_ref());
    let entries = tiers[0][1].as_array().expect("intervals");
    let labels: Vec<&str> = entries
        .iter()
        .map(|entry| entry[2].as_str().expect("a label"))
        .filter(|label| !label.is_empty())
        .collect();
    assert_eq!(labels.len(), SYMBOLS.len(), "{labels:?}");
    for (label, (symbol, _)) in labels.iter().zip(SYMBOLS) {
        let plain = symbol.trim() == symbol && !symbol.chars().any(char::is_control);
        if plain && !symbol.is_empty() && !symbol.contains(['\u{202e}', '\u{fffe}']) {
            assert_eq!(*label, symbol);
        }
    }
    assert_eq!(
        (labels[0], labels[1], labels[3]),
        ("<space>", "<eps>", "\\u{9}")
    );

    // The item without an alignment has an empty tier of the same length.
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(
        run.stderr.contains("item 0 has no alignment: impossible"),
        "{}",
        run.stderr
    );
    let tiers = praatio(TIERS, two.as_ref());
    assert_eq!(tiers.as_array().map(Vec::len), Some(2));
    assert_eq!(tiers[0], serde_json::json!([0.05, [[0.0, 0.05, ""]]]));
    assert_eq!(tiers[1][0], 0.05);
}

#[test]
fn an_item_without_an_alignment_has_a_note_and_no_line() {
    let path = data("cli/impossible.npz");
    let run = tool(["align", &path, "--format", "ctm"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stderr.contains("note: ") && run.stderr.contains("impossible.npz"));
    assert!(
        run.stderr.contains("item 1 has no alignment: impossible"),
        "{}",
        run.stderr
    );
    assert!(
        !run.stdout.is_empty() && !run.stdout.contains("item1 "),
        "{}",
        run.stdout
    );
    let nan = Npz::small().with("logits", &[2, 4, 3], &[f32::NAN; 24]);
    let nan = nan.save("nan.npz");
    let run = tool(["align", &nan, "--format", "ctm", "--item", "1"]);
    assert_eq!((run.status, &*run.stdout), (0, ""));
    assert!(
        run.stderr.contains("item 1 has no alignment: not finite"),
        "{}",
        run.stderr
    );
    // All tiers are empty, and the TextGrid has a length.
    let run = tool(["align", &nan, "--format", "textgrid"]);
    assert!(run.stdout.contains("xmax = 0.08\n"), "{}", run.stdout);
}

#[test]
fn a_textgrid_without_frames_is_rejected() {
    let none = Npz::default()
        .with::<f32>("logits", &[2, 0, 3], &[])
        .with::<i32>("labels", &[2, 0], &[])
        .save("no_frames.npz");
    rejected(
        &["align", &none, "--format", "textgrid"],
        "no_frames.npz",
        "no item has a frame",
    );
}

/// Parses a decimal number in units of 1e-6.
fn micro(number: &str) -> u64 {
    let (whole, rest) = number.split_once('.').expect("decimals");
    let digits = format!("{whole}{rest:0<6}");
    digits.parse().expect("a number")
}

#[test]
fn no_label_ends_after_the_next_begins() {
    let labels: Vec<i32> = (0..800).map(|at| 1 + at % 2).collect();
    // All frames are equal, so the labels follow each other without a blank.
    let path = Npz::default()
        .with("logits", &[1, 801, 3], &[0.5_f32; 801 * 3])
        .with("labels", &[1, 800], &labels)
        .save("rows.npz");
    for frame in [
        "0.0125",
        "0.02",
        "0.01",
        "0.011609977324263039",
        "0.0004",
        "0.000001",
        "0.0000015",
        "0.3333",
        "1",
        "3600",
    ] {
        let run = tool(["align", &path, "--format", "ctm", "--frame", frame]);
        assert_eq!((run.status, &*run.stderr), (0, ""));
        let mut end = 0;
        for row in run.stdout.lines() {
            let fields: Vec<&str> = row.split_whitespace().collect();
            let (begin, duration) = (micro(fields[2]), micro(fields[3]));
            assert!(begin >= end, "--frame {frame}: {row} begins before {end}");
            assert!(duration > 0, "--frame {frame}: {row}");
            end = begin + duration;
        }
        assert_eq!(run.stdout.lines().count(), 800);
        let all = 801.0 * frame.parse::<f64>().expect("a number") * 1e6;
        assert!(
            (end as f64 - all).abs() <= 1001.0,
            "--frame {frame}: {end}, not {all}"
        );
    }
    for frame in ["0", "-1", "NaN", "inf", "1e-7", "3601", "1e300"] {
        let frame = format!("--frame={frame}");
        rejected(&["align", &path, &frame], "--frame", "the duration must be");
    }
}

#[test]
fn file_names_cannot_control_the_terminal() {
    let run = command()
        .args(["loss", "no\u{1b}[31m\nsuch.npz"])
        .output()
        .expect("the tool starts");
    let stderr = String::from_utf8(run.stderr).expect("UTF-8");
    assert_eq!(run.status.code(), Some(2), "{stderr}");
    assert_harmless(&stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
}
