//! Reads alphabets in all supported formats. A missing or extra symbol would shift all symbols
//! after it.

use crate::support::{Npz, Run, json, rejected, save, spelling, tool};

/// Runs `decode` on a batch that decodes to `labels`, with an alphabet of these bytes.
fn decoded(labels: &[i32], classes: usize, blank: usize, alphabet: &[u8], flags: &[&str]) -> Run {
    let path = spelling(labels, classes, blank).save("alphabet.npz");
    let alphabet = save("alphabet.txt", alphabet);
    let blank = blank.to_string();
    let arguments = ["decode", &path, "--alphabet", &alphabet, "--blank", &blank];
    tool([&arguments[..], flags].concat())
}

/// Asserts that a batch of `labels` decodes to `text`, with nothing on stderr.
#[track_caller]
fn decodes(labels: &[i32], classes: usize, blank: usize, alphabet: impl AsRef<[u8]>, text: &str) {
    let run = decoded(labels, classes, blank, alphabet.as_ref(), &["--json"]);
    assert_eq!((run.status, &*run.stderr), (0, ""));
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(report["items"][0]["hypotheses"][0]["text"], text);
}

/// Asserts that the alphabet is rejected with a message that contains each of `parts`.
#[track_caller]
fn alphabet_rejected(classes: usize, blank: usize, alphabet: impl AsRef<[u8]>, parts: &[&str]) {
    let label = i32::from(blank == 0);
    let run = decoded(&[label], classes, blank, alphabet.as_ref(), &[]);
    assert_eq!((run.status, &*run.stdout), (2, ""), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    for part in [&["alphabet.txt"], parts].concat() {
        assert!(run.stderr.contains(part), "no `{part}` in: {}", run.stderr);
    }
}

#[test]
fn one_line_has_one_symbol_per_character_with_or_without_the_blank() {
    for text in ["abcd", "abcd\n", "abcd\r\n", "abcd\n\n\n", "\u{feff}abcd\n"] {
        decodes(&[0, 1, 2, 3], 5, 4, text, "abcd");
        decodes(&[1, 2, 3, 4], 5, 0, text, "abcd");
        decodes(&[0, 1, 3, 4], 5, 2, text, "abcd");
    }
    decodes(&[1, 2, 3], 4, 0, "-abc", "abc");
    decodes(&[0, 1, 2], 4, 3, "\u{feff}a b_", "a b");
}

#[test]
fn each_line_is_a_symbol_with_any_line_ending() {
    for text in [
        "a\nb\nc\nd\n",
        "a\r\nb\r\nc\r\nd",
        "\u{feff}a\nb\nc\nd",
        "a\nb\nc\nd\n\n\n",
    ] {
        decodes(&[0, 1, 2, 3], 5, 4, text, "abcd");
        decodes(&[1, 2, 3, 4], 5, 0, text, "abcd");
    }
    // The blank's line may be empty, and PP-OCR's dictionaries have spaces.
    decodes(&[1, 2, 3], 4, 0, "\na\n \nb\n", "a b");
    decodes(&[0, 1, 2], 4, 3, "a\n\u{3000}\nb\n\n", "a\u{3000}b");
}

#[test]
fn characters_stay_unseparated_beside_named_tokens() {
    for blank in [
        "<blk>", "<blank>", "<pad>", "[PAD]", "<eps>", "<s>", "|", "-", "", "blank",
    ] {
        decodes(
            &[1, 2, 3, 4],
            5,
            0,
            format!("{blank}\na\nb\nc\nd\n"),
            "abcd",
        );
        decodes(
            &[0, 1, 2, 3],
            5,
            4,
            format!("a\nb\nc\nd\n{blank}\n"),
            "abcd",
        );
    }
    // wav2vec2's, as a list and as vocab.json.
    let list = "<pad>\n<s>\n</s>\n<unk>\n|\nE\nT\nA\n";
    decodes(&[7, 6, 4, 5, 3], 8, 0, list, "AT|E<unk>");
    let json = r#"{"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "E": 5, "A": 7, "T": 6}"#;
    decodes(&[7, 6, 4, 5, 3], 8, 0, json, "AT|E<unk>");
    decodes(&[1, 2], 3, 0, r#"["-", "a", "\n"]"#, "a\n");
}

#[test]
fn a_named_blank_must_be_the_blank() {
    alphabet_rejected(
        4,
        0,
        "a\nb\nc\n<blk>\n",
        &["class 3 is `<blk>`", "`--blank 3`"],
    );
    alphabet_rejected(
        4,
        3,
        "<eps>\na\nb\nc\n",
        &["class 0 is `<eps>`", "`--blank 0`"],
    );
    // The blank's symbol is present and another one is missing.
    alphabet_rejected(
        5,
        0,
        "<blank>\na\nb\nc\n",
        &["4 symbols including the blank `<blank>`, but 5 classes"],
    );
    for (alphabet, note) in [
        ("a\nb\nc\n_\n", "class 0, the blank, is `a`"),
        ("_\na\nb\n<pad>\n", "`--blank 3`"),
    ] {
        let run = decoded(&[1, 2], 4, 0, alphabet.as_bytes(), &[]);
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
        assert!(
            run.stderr.starts_with("note: ") && run.stderr.contains(note),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn the_number_of_classes_decides_how_accents_count() {
    let (composed, apart) = ("\u{e9}", "e\u{301}");
    for text in [format!("a{composed}z"), format!("a{apart}z")] {
        let e = text[1..].trim_end_matches('z');
        decodes(&[0, 1, 2], 4, 3, &text, &format!("a{e}z"));
        decodes(&[1, 2, 3], 4, 0, &text, &format!("a{e}z"));
    }
    // A network whose classes are combining marks: in Devanagari each sign is one.
    decodes(&[1, 2, 3, 4], 5, 0, "क\u{93e}ख\u{93f}", "क\u{93e}ख\u{93f}");
    // Letters without a composed form.
    decodes(
        &[1, 2, 3, 4],
        5,
        0,
        "ag\u{303}m\u{303}z",
        "ag\u{303}m\u{303}z",
    );
    // Either 4 symbols including the blank, or 3 without it.
    let sign = "aक\u{93f}b";
    alphabet_rejected(
        4,
        0,
        sign,
        &["4 symbols, or 3", "match either", "one symbol per line"],
    );
    alphabet_rejected(9, 0, sign, &["4 symbols, or 3", "but 9 classes"]);
    decodes(
        &[0, 2],
        5,
        4,
        format!("a\nb\n{apart}\nc\n"),
        &format!("a{apart}"),
    );
}

#[test]
fn the_separator_of_symbols_can_be_chosen() {
    decodes(&[1, 2], 4, 0, "AH\nB\nK\n", "AH B");
    // A few long lines among characters, as in PP-OCR's dictionaries.
    let characters: Vec<String> = ('\u{4e00}'..='\u{4eff}').map(String::from).collect();
    let dictionary = format!("{}\nab\n", characters.join("\n"));
    let classes = characters.len() + 2;
    let last = i32::try_from(classes - 1).expect("a class");
    decodes(&[1, last, 2], classes, 0, dictionary, "\u{4e00}ab\u{4e01}");
    // SentencePiece's pieces mark their spaces.
    decodes(&[2, 1, 3], 4, 0, "s\n▁it\n▁is\n", "▁its▁is");
    for (separator, text) in [("", "AHB"), ("-", "AH-B")] {
        let run = decoded(&[1, 2], 4, 0, b"AH\nB\nK\n", &["--separator", separator]);
        assert!(run.stdout.contains(text), "{}", run.stdout);
    }
}

#[test]
fn numbers_after_symbols_are_their_classes() {
    let tokens = "<blk> 0\n<unk> 3\nb 2\na 1\n#0 4\n#1 5\n";
    decodes(&[1, 2], 4, 0, tokens, "ab");
    decodes(&[1, 2], 4, 0, tokens.replace(' ', "\t"), "ab");
    // A space is the symbol, or the line has only a number.
    for space in ["  1", " 1", "1"] {
        decodes(
            &[2, 1, 3],
            4,
            0,
            format!("<blk> 0\n{space}\na 2\nb 3\n"),
            "a b",
        );
    }
    decodes(&[0, 1], 3, 2, "b 1\na 0\n", "ab");
    for (tokens, part) in [
        (
            "<blk> 0\na 1\nb 1\nc 3",
            "`a` and `b` both have the number 1",
        ),
        ("<blk> 0\na 1\nc 3", "no symbol has the number 2"),
        ("<blk> 0\na 1\nb 2\nc 4", "`c` has the number 4"),
        ("<blk> 0\na 1\nb\nc 3", "line 3 has no number"),
        ("a 0\nb 1\nc 2\n<blk> 3", "`--blank 3`"),
        (
            "a 18446744073709551615\nb 1\nc 2",
            "has the number 18446744073709551615",
        ),
    ] {
        alphabet_rejected(4, 0, tokens, &[part]);
    }
}

#[test]
fn an_invalid_alphabet_is_rejected_with_advice() {
    alphabet_rejected(5, 0, "abc", &["3 symbols, but 5 classes", "is optional"]);
    alphabet_rejected(
        6,
        0,
        "a\nb\nc\nd",
        &["4 symbols, but 6 classes", "use_space_char"],
    );
    alphabet_rejected(3, 0, "", &["0 symbols, but 3 classes"]);
    alphabet_rejected(
        3,
        0,
        b"a\nb\xe9\n",
        &["not valid UTF-8 at byte 3", "save it as UTF-8"],
    );
    alphabet_rejected(3, 0, b"\xff\xfea\0\n\0b\0", &["UTF-16"]);
    alphabet_rejected(3, 0, b"a\0\n\0b\0\n\0", &["UTF-16"]);
    alphabet_rejected(3, 0, "a\rb\r", &["carriage return", "newline"]);
    let batch = Npz::small().save("for_alphabets.npz");
    let folder = std::env::temp_dir().display().to_string();
    rejected(
        &["decode", &batch, "--alphabet", &folder],
        &folder,
        "directory",
    );
    let run = tool(["decode", &batch, "--separator", "-"]);
    assert!(
        run.status == 2 && run.stderr.contains("--alphabet"),
        "{}",
        run.stderr
    );
}

#[test]
#[cfg(unix)]
fn an_endless_alphabet_is_rejected() {
    let batch = Npz::small().save("endless.npz");
    rejected(
        &["decode", &batch, "--alphabet", "/dev/zero"],
        "/dev/zero",
        "is too long for an alphabet",
    );
}

#[test]
fn classes_without_an_alphabet_are_numbers() {
    let path = spelling(&[3, 1, 11], 12, 0).save("numbers.npz");
    let report = json(&["decode", &path]);
    assert_eq!(report["items"][0]["hypotheses"][0]["text"], "3 1 11");
}
