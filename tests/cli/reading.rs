//! `decode` and `align`: what was read, and where.

use crate::support::{Npz, data, json, refused, save, tool};

const TRAINED: &str = "ocr/keras_ocr_trained.npz";

fn alphabet() -> String {
    data("ocr/alphabet.txt")
}

#[test]
fn the_trained_network_reads_29_of_its_32_lines() {
    let run = tool(["decode", &data(TRAINED), "--alphabet", &alphabet()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("29 of 32 items without a fault"),
        "{}",
        run.stdout
    );
    let line = run
        .stdout
        .lines()
        .find(|line| line.trim_start().starts_with("24 "))
        .expect("item 24");
    assert_eq!(line.split_whitespace().nth(1), Some("KF6D"), "{line}");
}

#[test]
fn a_beam_reads_no_worse_and_orders_its_candidates() {
    let report = json(&["decode", &data(TRAINED), "--beam", "16", "--top", "3"]);
    assert_eq!(report["errors"], serde_json::Value::Null);
    assert!(report["label_error_rate"].as_f64().expect("a rate") < 0.03);
    let items = report["items"].as_array().expect("items");
    assert_eq!(items.len(), 32);
    for item in items {
        let candidates = item["candidates"].as_array().expect("candidates");
        assert_eq!(candidates.len(), 3);
        let loss = |at: usize| candidates[at]["score"].as_f64().expect("a loss");
        assert!(loss(0) <= loss(1) && loss(1) <= loss(2));
    }
}

#[test]
fn an_alignment_tells_where_each_label_stands() {
    let (file, letters) = (data(TRAINED), alphabet());
    let run = tool(["align", &file, "--item", "3", "--alphabet", &letters]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout.starts_with("item 3: E4CKD, −ln p(path) 1.48"),
        "{}",
        run.stdout
    );
    let report = json(&["align", &file, "--item", "3", "--alphabet", &letters]);
    let item = &report["items"][0];
    let spans = item["spans"].as_array().expect("spans");
    let symbols: Vec<_> = spans
        .iter()
        .map(|span| span["symbol"].as_str().expect("a symbol"))
        .collect();
    assert_eq!(symbols, ["E", "4", "C", "K", "D"]);
    assert_eq!(spans[0]["frames"], serde_json::json!([8, 10]));
    let log_probs = item["log_probs"].as_array().expect("numbers");
    let sum: f64 = log_probs
        .iter()
        .map(|p| p.as_f64().expect("a number"))
        .sum();
    assert!((sum + item["score"].as_f64().expect("a score")).abs() < 1e-9);
}

#[test]
fn speech_tools_forms_have_times() {
    let (file, letters) = (data(TRAINED), alphabet());
    let arguments = [
        "align",
        &file,
        "--item",
        "3",
        "--alphabet",
        &letters,
        "--frame",
        "0.5",
        "--format",
    ];
    let ctm = tool([&arguments[..], &["ctm"]].concat());
    assert_eq!(
        ctm.stdout.lines().next(),
        Some("item3 1 4.000 1.000 E 0.977")
    );
    assert_eq!(ctm.stdout.lines().count(), 5);
    let grid = tool([&arguments[..], &["textgrid"]].concat()).stdout;
    assert!(grid.starts_with("File type = \"ooTextFile\""), "{grid}");
    assert!(
        grid.contains("xmin = 4\n            xmax = 5\n            text = \"E\""),
        "{grid}"
    );
    // The intervals follow each other without a gap.
    let numbers = |key: &str| -> Vec<f64> {
        let lines = grid
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix(key));
        lines
            .skip(2)
            .map(|number| number.parse().expect("a time"))
            .collect()
    };
    let (begins, ends) = (numbers("xmin = "), numbers("xmax = "));
    assert_eq!(begins.len(), 11);
    assert_eq!(begins[1..], ends[..10]);
}

#[test]
fn the_plot_is_drawn_with_each_symbol() {
    let path = save("plot.svg", b"");
    let run = tool([
        "align",
        &data(TRAINED),
        "--item",
        "3",
        "--alphabet",
        &alphabet(),
        "--plot",
        &path,
    ]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.contains("drawn to"), "{}", run.stdout);
    let svg = std::fs::read_to_string(path).expect("the picture");
    assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
    for symbol in ["item 3: E4CKD", "\nE\n", "\nK\n", "occupancy"] {
        assert!(svg.contains(symbol), "no {symbol:?}");
    }
    assert!(
        svg.matches("<polyline").count() >= 5,
        "a curve for each symbol"
    );
}

#[test]
fn what_cannot_be_aligned_has_its_status() {
    let path = Npz::small()
        .with("labels", &[2, 6], &[1_i32, 1, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0])
        .with("label_lengths", &[2], &[3_i32, 2])
        .save("no_alignment.npz");
    let run = tool(["align", &path]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout.starts_with("item 0: impossible\n"),
        "{}",
        run.stdout
    );
    refused(
        &["align", &path, "--item", "0", "--plot", "no.svg"],
        "item 0",
        "no alignment to be drawn",
    );
}

#[test]
fn arguments_that_do_not_fit_are_refused() {
    let file = data(TRAINED);
    refused(
        &["align", &file, "--item", "32"],
        "keras_ocr_trained.npz",
        "has 32 items, counted from 0",
    );
    refused(
        &["align", &file, "--frame", "0"],
        "--frame 0",
        "a length of time",
    );
    let short = save("short.txt", b"abc");
    refused(
        &["decode", &file, "--alphabet", &short],
        "short.txt",
        "3 symbols, but 20 classes",
    );
    refused(
        &["decode", &file, "--alphabet", "nowhere.txt"],
        "nowhere.txt",
        "No such file",
    );
    let run = tool(["decode", &file, "--top", "2"]);
    assert_eq!(run.status, 2, "{}", run.stderr);
    assert!(run.stderr.contains("--beam"), "{}", run.stderr);
}
