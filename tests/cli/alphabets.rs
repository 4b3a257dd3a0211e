//! Alphabets in the forms in which people have them. A symbol lost or added would shift all that
//! follow.

use crate::support::{Npz, Run, json, read_of, refused, save, tool};

/// What `decode` prints of a batch that reads as `labels`, with an alphabet of these bytes.
fn decoded(labels: &[i32], classes: usize, blank: usize, alphabet: &[u8], flags: &[&str]) -> Run {
    let path = read_of(labels, classes, blank).save("alphabet.npz");
    let alphabet = save("alphabet.txt", alphabet);
    let blank = blank.to_string();
    let arguments = ["decode", &path, "--alphabet", &alphabet, "--blank", &blank];
    tool([&arguments[..], flags].concat())
}

/// The batch reads as `text`, and nothing is said on stderr.
#[track_caller]
fn reads(labels: &[i32], classes: usize, blank: usize, alphabet: impl AsRef<[u8]>, text: &str) {
    let run = decoded(labels, classes, blank, alphabet.as_ref(), &["--json"]);
    assert_eq!((run.status, &*run.stderr), (0, ""));
    let report: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(report["items"][0]["candidates"][0]["text"], text);
}

/// The alphabet is refused, and each of `parts` stands in the message.
#[track_caller]
fn alphabet_refused(classes: usize, blank: usize, alphabet: impl AsRef<[u8]>, parts: &[&str]) {
    let label = i32::from(blank == 0);
    let run = decoded(&[label], classes, blank, alphabet.as_ref(), &[]);
    assert_eq!((run.status, &*run.stdout), (2, ""), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    for part in [&["alphabet.txt"], parts].concat() {
        assert!(run.stderr.contains(part), "no `{part}` in: {}", run.stderr);
    }
}

#[test]
fn one_line_is_a_symbol_per_character_with_the_blank_or_without() {
    for text in ["abcd", "abcd\n", "abcd\r\n", "abcd\n\n\n", "\u{feff}abcd\n"] {
        reads(&[0, 1, 2, 3], 5, 4, text, "abcd");
        reads(&[1, 2, 3, 4], 5, 0, text, "abcd");
        reads(&[0, 1, 3, 4], 5, 2, text, "abcd");
    }
    reads(&[1, 2, 3], 4, 0, "-abc", "abc");
    reads(&[0, 1, 2], 4, 3, "\u{feff}a b_", "a b");
}

#[test]
fn lines_are_symbols_whatever_ends_them() {
    for text in [
        "a\nb\nc\nd\n",
        "a\r\nb\r\nc\r\nd",
        "\u{feff}a\nb\nc\nd",
        "a\nb\nc\nd\n\n\n",
    ] {
        reads(&[0, 1, 2, 3], 5, 4, text, "abcd");
        reads(&[1, 2, 3, 4], 5, 0, text, "abcd");
    }
    // The blank's line may be empty, and PP-OCR's dictionaries have spaces.
    reads(&[1, 2, 3], 4, 0, "\na\n \nb\n", "a b");
    reads(&[0, 1, 2], 4, 3, "a\n\u{3000}\nb\n\n", "a\u{3000}b");
}

#[test]
fn named_blanks_and_tokens_do_not_make_characters_words() {
    for blank in [
        "<blk>", "<blank>", "<pad>", "[PAD]", "<eps>", "<s>", "|", "-", "", "blank",
    ] {
        reads(
            &[1, 2, 3, 4],
            5,
            0,
            format!("{blank}\na\nb\nc\nd\n"),
            "abcd",
        );
        reads(
            &[0, 1, 2, 3],
            5,
            4,
            format!("a\nb\nc\nd\n{blank}\n"),
            "abcd",
        );
    }
    // wav2vec2's, as a list and as vocab.json.
    let list = "<pad>\n<s>\n</s>\n<unk>\n|\nE\nT\nA\n";
    reads(&[7, 6, 4, 5, 3], 8, 0, list, "AT|E<unk>");
    let json = r#"{"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3, "|": 4, "E": 5, "A": 7, "T": 6}"#;
    reads(&[7, 6, 4, 5, 3], 8, 0, json, "AT|E<unk>");
    reads(&[1, 2], 3, 0, r#"["-", "a", "\n"]"#, "a\n");
}

#[test]
fn a_blank_that_is_named_is_the_blank() {
    alphabet_refused(
        4,
        0,
        "a\nb\nc\n<blk>\n",
        &["class 3 is `<blk>`", "`--blank 3`"],
    );
    alphabet_refused(
        4,
        3,
        "<eps>\na\nb\nc\n",
        &["class 0 is `<eps>`", "`--blank 0`"],
    );
    // One symbol is missing, and it is not the blank's.
    alphabet_refused(
        5,
        0,
        "<blank>\na\nb\nc\n",
        &["4 symbols with `<blank>`, but 5 classes"],
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
fn accents_count_as_the_classes_have_them() {
    let (composed, apart) = ("\u{e9}", "e\u{301}");
    for text in [format!("a{composed}z"), format!("a{apart}z")] {
        let e = text[1..].trim_end_matches('z');
        reads(&[0, 1, 2], 4, 3, &text, &format!("a{e}z"));
        reads(&[1, 2, 3], 4, 0, &text, &format!("a{e}z"));
    }
    // A network whose classes are the marks: in Devanagari each sign is one.
    reads(&[1, 2, 3, 4], 5, 0, "क\u{93e}ख\u{93f}", "क\u{93e}ख\u{93f}");
    // Letters that have no composed form.
    reads(
        &[1, 2, 3, 4],
        5,
        0,
        "ag\u{303}m\u{303}z",
        "ag\u{303}m\u{303}z",
    );
    // 4 symbols and the blank among them, or 3 without it.
    let sign = "aक\u{93f}b";
    alphabet_refused(
        4,
        0,
        sign,
        &["4 symbols, or 3", "can be either", "one symbol per line"],
    );
    alphabet_refused(9, 0, sign, &["4 symbols, or 3", "but 9 classes"]);
    reads(
        &[0, 2],
        5,
        4,
        format!("a\nb\n{apart}\nc\n"),
        &format!("a{apart}"),
    );
}

#[test]
fn what_is_printed_between_symbols_can_be_chosen() {
    reads(&[1, 2], 4, 0, "AH\nB\nK\n", "AH B");
    // A few long lines among characters, as PP-OCR has them.
    let characters: Vec<String> = ('\u{4e00}'..='\u{4eff}').map(String::from).collect();
    let dictionary = format!("{}\nab\n", characters.join("\n"));
    let classes = characters.len() + 2;
    let last = i32::try_from(classes - 1).expect("a class");
    reads(&[1, last, 2], classes, 0, dictionary, "\u{4e00}ab\u{4e01}");
    // SentencePiece's carry their spaces.
    reads(&[2, 1, 3], 4, 0, "s\n▁it\n▁is\n", "▁its▁is");
    for (separator, text) in [("", "AHB"), ("-", "AH-B")] {
        let run = decoded(&[1, 2], 4, 0, b"AH\nB\nK\n", &["--separator", separator]);
        assert!(run.stdout.contains(text), "{}", run.stdout);
    }
}

#[test]
fn numbers_after_symbols_are_their_classes() {
    let tokens = "<blk> 0\n<unk> 3\nb 2\na 1\n#0 4\n#1 5\n";
    reads(&[1, 2], 4, 0, tokens, "ab");
    reads(&[1, 2], 4, 0, tokens.replace(' ', "\t"), "ab");
    // The space is a symbol, or there is none before its number.
    for space in ["  1", " 1", "1"] {
        reads(
            &[2, 1, 3],
            4,
            0,
            format!("<blk> 0\n{space}\na 2\nb 3\n"),
            "a b",
        );
    }
    reads(&[0, 1], 3, 2, "b 1\na 0\n", "ab");
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
        alphabet_refused(4, 0, tokens, &[part]);
    }
}

#[test]
fn what_is_no_alphabet_says_how_to_make_it_one() {
    alphabet_refused(
        5,
        0,
        "abc",
        &["3 symbols, but 5 classes", "may be left out"],
    );
    alphabet_refused(
        6,
        0,
        "a\nb\nc\nd",
        &["4 symbols, but 6 classes", "use_space_char"],
    );
    alphabet_refused(3, 0, "", &["0 symbols, but 3 classes"]);
    alphabet_refused(
        3,
        0,
        b"a\nb\xe9\n",
        &["not UTF-8 from byte 3 on", "save it as UTF-8"],
    );
    alphabet_refused(3, 0, b"\xff\xfea\0\n\0b\0", &["UTF-16"]);
    alphabet_refused(3, 0, b"a\0\n\0b\0\n\0", &["UTF-16"]);
    alphabet_refused(3, 0, "a\rb\r", &["carriage return", "newline"]);
    let batch = Npz::small().save("for_alphabets.npz");
    let folder = std::env::temp_dir().display().to_string();
    refused(
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
fn an_endless_alphabet_ends() {
    let batch = Npz::small().save("endless.npz");
    refused(
        &["decode", &batch, "--alphabet", "/dev/zero"],
        "/dev/zero",
        "is longer than",
    );
}

#[test]
fn classes_without_an_alphabet_are_numbers() {
    let path = read_of(&[3, 1, 11], 12, 0).save("numbers.npz");
    let report = json(&["decode", &path]);
    assert_eq!(report["items"][0]["candidates"][0]["text"], "3 1 11");
}
