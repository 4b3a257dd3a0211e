//! `decode` and `align`: the decoded labels and their frames.

use crate::support::{Npz, data, json, rejected, save, tool};

const TRAINED: &str = "ocr/keras_ocr_trained.npz";

fn alphabet() -> String {
    data("ocr/alphabet.txt")
}

#[test]
fn the_trained_network_decodes_29_of_32_lines_without_an_error() {
    let run = tool(["decode", &data(TRAINED), "--alphabet", &alphabet()]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout.contains("29 of 32 items without an error"),
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
fn a_beam_is_at_least_as_accurate_and_sorts_its_hypotheses() {
    let report = json(&["decode", &data(TRAINED), "--beam", "16", "--top", "3"]);
    assert_eq!(report["errors"], serde_json::Value::Null);
    assert!(report["label_error_rate"].as_f64().expect("a rate") < 0.03);
    let items = report["items"].as_array().expect("items");
    assert_eq!(items.len(), 32);
    for item in items {
        let hypotheses = item["hypotheses"].as_array().expect("hypotheses");
        assert_eq!(hypotheses.len(), 3);
        let log_prob = |at: usize| hypotheses[at]["log_prob"].as_f64().expect("a number");
        assert!(log_prob(0) >= log_prob(1) && log_prob(1) >= log_prob(2));
        assert!(log_prob(2) < 0.0);
    }
}

#[test]
fn a_log_probability_above_0_is_noted() {
    // Decoders check that the first frame is a distribution, so it must be one.
    let mut raw = [2.0_f32; 12];
    raw[..3].fill(-3_f32.ln());
    let raw = Npz::default()
        .with("log_probs", &[1, 4, 3], &raw)
        .with("labels", &[1, 1], &[1_i32])
        .save("raw.npz");
    for command in [&["align"][..], &["decode"], &["decode", "--beam", "4"]] {
        let run = tool(command.iter().chain(&[&*raw]));
        assert_eq!(run.status, 0, "{command:?}: {}", run.stderr);
        for part in ["item 0 has a log_prob of ", ", above 0: "] {
            assert!(run.stderr.contains(part), "{command:?}: {}", run.stderr);
        }
    }
    // Rounding errors of a certain path have no note.
    let sure = Npz::default()
        .with("log_probs", &[1, 2, 2], &[6e-8_f32, -17.0, -17.0, 6e-8])
        .with("labels", &[1, 1], &[1_i32])
        .save("sure.npz");
    assert_eq!(tool(["align", &sure]).stderr, "");
}

#[test]
fn an_alignment_has_the_frames_of_each_label() {
    let (file, letters) = (data(TRAINED), alphabet());
    let run = tool(["align", &file, "--item", "3", "--alphabet", &letters]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout.starts_with("item 3: E4CKD, log_prob -1.48"),
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
    assert!((sum - item["log_prob"].as_f64().expect("a number")).abs() < 1e-9);
}

#[test]
fn ctm_and_textgrid_have_times() {
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
    assert!(run.stdout.contains("plot written to"), "{}", run.stdout);
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
fn a_batch_without_labels_is_decoded_without_error_counts() {
    let path = Npz::small()
        .with("logits", &[1, 2, 3], &[0.0_f32, 9.0, 0.0, 0.0, 0.0, 9.0])
        .with("logit_lengths", &[1], &[2_i32])
        .without("labels")
        .without("label_lengths")
        .save("unlabelled.npz");
    for beam in [&[][..], &["--beam", "4"]] {
        let arguments = [&["decode", &path][..], beam].concat();
        let run = tool(&arguments);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(run.stdout.contains("1 2"), "{}", run.stdout);
        assert!(!run.stdout.contains("error"), "{}", run.stdout);
        let report = json(&arguments);
        let item = &report["items"][0];
        assert_eq!(item["hypotheses"][0]["labels"], serde_json::json!([1, 2]));
        assert!(item.get("errors").is_none() && report.get("labels").is_none());
    }
    for command in ["align", "loss", "check"] {
        rejected(
            &[command, &path],
            "unlabelled.npz",
            "the array labels is missing",
        );
    }
    // Labels that are present are checked.
    let bad = Npz::small().with("labels", &[2, 2], &[1_i32, 2, 3, 1]);
    rejected(
        &["decode", &bad.save("bad_labels.npz")],
        "bad_labels.npz",
        "label 3 at position 0",
    );
}

#[test]
fn a_wildcard_matches_unknown_text() {
    // The frames are 1, blank, 2, 2, blank, 1. The text between the 1s is unknown.
    let logits: Vec<f32> = [1, 0, 2, 2, 0, 1]
        .into_iter()
        .flat_map(|class| (0..3).map(move |c| if c == class { 9.0 } else { 0.0 }))
        .collect();
    let path = Npz::small()
        .with("logits", &[1, 6, 3], &logits)
        .with("labels", &[1, 3], &[1_i32, -1, 1])
        .with("label_lengths", &[1], &[3_i32])
        .with("logit_lengths", &[1], &[6_i32])
        .save("star.npz");
    let run = tool(["align", &path, "--star"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stdout.starts_with("item 0: 1 * 1, log_prob "),
        "{}",
        run.stdout
    );
    let report = json(&["align", &path, "--star"]);
    let item = &report["items"][0];
    assert_eq!(item["path"], serde_json::json!([1, -1, -1, -1, -1, 1]));
    let star = &item["spans"][1];
    assert_eq!(star["label"], -1);
    assert_eq!(star["symbol"], "*");
    assert_eq!(star["probability"], 1.0);
    rejected(&["align", &path], "star.npz", "label -1 at position 1");
    rejected(
        &["loss", "--backend", "cpu", &path],
        "star.npz",
        "label -1 at position 1",
    );
    let plot = tool([
        "align", &path, "--star", "--item", "0", "--plot", "star.svg",
    ]);
    assert_eq!(plot.status, 2, "{}", plot.stderr);
    assert!(plot.stderr.contains("--star"), "{}", plot.stderr);
}

#[test]
fn an_item_without_an_alignment_has_its_status() {
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
    rejected(
        &["align", &path, "--item", "0", "--plot", "no.svg"],
        "item 0",
        "no valid alignment",
    );
}

#[test]
fn arguments_out_of_range_are_rejected() {
    let file = data(TRAINED);
    rejected(
        &["align", &file, "--item", "32"],
        "keras_ocr_trained.npz",
        "has 32 items, counted from 0",
    );
    rejected(
        &["align", &file, "--frame", "0"],
        "--frame 0",
        "the duration must be",
    );
    let short = save("short.txt", b"abc");
    rejected(
        &["decode", &file, "--alphabet", &short],
        "short.txt",
        "3 symbols, but 20 classes",
    );
    rejected(
        &["decode", &file, "--alphabet", "nowhere.txt"],
        "nowhere.txt",
        "No such file",
    );
    let run = tool(["decode", &file, "--beam", "2", "--top", "3"]);
    assert_eq!(run.status, 2, "{}", run.stderr);
    let rule = "--top 3: must be at most the width of the beam, 2";
    assert!(run.stderr.contains(rule), "{}", run.stderr);
    let run = tool(["decode", &file, "--top", "2"]);
    assert_eq!(run.status, 2, "{}", run.stderr);
    assert!(run.stderr.contains("--beam"), "{}", run.stderr);
}
