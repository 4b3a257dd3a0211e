//! What the classes mean, for people.

mod file;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::Args;
use unicode_segmentation::UnicodeSegmentation;

use crate::fault::{Fault, escaped};
use crate::format;

#[derive(Debug, Args)]
pub(crate) struct AlphabetArgs {
    /// The symbols of the classes, in order [default: the classes' numbers]
    ///
    /// UTF-8 text with one symbol per line, or one line with one symbol per character; k2's
    /// tokens.txt (a symbol and its number per line); or JSON, a list or an object such as
    /// wav2vec2's vocab.json. The blank's symbol may be left out. Marks of words, such as
    /// wav2vec2's `|`, are printed as they are.
    #[arg(long, value_name = "FILE")]
    alphabet: Option<PathBuf>,

    /// What is printed between two symbols [default: nothing between characters, a space between
    /// longer symbols]
    #[arg(long, value_name = "TEXT", requires = "alphabet")]
    separator: Option<String>,
}

/// A symbol per class.
pub(crate) struct Alphabet {
    /// None where the classes have numbers only.
    symbols: Option<Vec<String>>,
    separator: String,
}

impl AlphabetArgs {
    /// For so many classes, of which one is the blank.
    pub(crate) fn read(&self, classes: usize, blank: usize) -> Result<Alphabet, Fault> {
        let Some(path) = &self.alphabet else {
            return Ok(Alphabet {
                symbols: None,
                separator: " ".to_owned(),
            });
        };
        let symbols =
            file::read(path, classes, blank).map_err(|reason| Fault::file(path, reason))?;
        if let Some(doubt) = doubt(&symbols, blank) {
            format::note(path, &doubt);
        }
        let separator = self.separator.clone();
        Ok(Alphabet {
            separator: separator.unwrap_or_else(|| separator_of(&symbols, blank).to_owned()),
            symbols: Some(symbols),
        })
    }

    /// The file, if one is given: an input that no output may replace.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.alphabet.as_deref()
    }
}

/// Whether it is a token with a name, such as `<unk>` or `[PAD]`, and not text.
fn is_named(symbol: &str) -> bool {
    let inside = |open, close| symbol.strip_prefix(open)?.strip_suffix(close);
    [inside('<', '>'), inside('[', ']')]
        .iter()
        .flatten()
        .any(|name: &&str| !name.is_empty())
}

/// Whether it is a name that only a blank has.
fn is_blank(symbol: &str) -> bool {
    let name = symbol.trim_matches(['<', '>', '[', ']']).to_lowercase();
    is_named(symbol)
        && [
            "blank",
            "blk",
            "ctc",
            "ctc_blank",
            "ctc-blank",
            "eps",
            "epsilon",
        ]
        .contains(&&*name)
}

/// What is odd about the blank's symbol, and may mean that the blank is another class.
fn doubt(symbols: &[String], blank: usize) -> Option<String> {
    let own = symbols.get(blank)?;
    if own.chars().count() == 1 && own.chars().all(char::is_alphanumeric) {
        return Some(format!(
            "class {blank}, the blank, is `{own}`: if another class is the blank, say so with `--blank`"
        ));
    }
    let padding = symbols
        .iter()
        .position(|symbol| symbol.eq_ignore_ascii_case("<pad>") || symbol == "[PAD]")?;
    (padding != blank && !is_named(own)).then(|| {
        let name = &symbols[padding];
        format!(
            "class {padding} is `{name}`, in many alphabets the blank, but the blank is class {blank}: \
             if that is wrong, use `--blank {padding}`"
        )
    })
}

/// Nothing between characters. A list of characters may have a few longer lines, as PP-OCR's have;
/// phonemes and words have many. Pieces of words carry their own spaces (SentencePiece's `▁`).
fn separator_of(symbols: &[String], blank: usize) -> &'static str {
    let text: Vec<&String> = symbols
        .iter()
        .enumerate()
        .filter(|(class, symbol)| *class != blank && !is_named(symbol))
        .map(|(_, symbol)| symbol)
        .collect();
    let long = text
        .iter()
        .filter(|symbol| symbol.graphemes(true).count() > 1)
        .count();
    let pieces = symbols.iter().any(|symbol| symbol.starts_with('▁'));
    if pieces || long * 100 <= text.len() {
        ""
    } else {
        " "
    }
}

impl Alphabet {
    /// The symbol as the file has it.
    pub(crate) fn symbol(&self, class: u32) -> Cow<'_, str> {
        match &self.symbols {
            // A star is no class of any network.
            _ if class == u32::MAX => "*".into(),
            Some(symbols) => symbols
                .get(class as usize)
                .map_or("*", String::as_str)
                .into(),
            None => class.to_string().into(),
        }
    }

    /// The symbols of a reading.
    pub(crate) fn text(&self, labels: &[u32]) -> String {
        let symbols: Vec<_> = labels.iter().map(|label| self.symbol(*label)).collect();
        symbols.join(&self.separator)
    }

    /// The symbol where it stands alone: never empty, without characters that steer a terminal or
    /// that XML forbids, and without spaces at its ends, which readers cut off.
    pub(crate) fn label(&self, class: u32) -> String {
        let symbol = self.symbol(class);
        let from = symbol.len() - symbol.trim_start().len();
        let to = symbol.trim_end().len().max(from);
        match &*symbol {
            "" => "<eps>".to_owned(),
            " " => "<space>".to_owned(),
            _ => {
                let edge = |spaces: &str| spaces.escape_unicode().to_string();
                edge(&symbol[..from]) + &escaped(&symbol[from..to]) + &edge(&symbol[to..])
            }
        }
    }

    /// The symbol as one word: [`label`](Self::label) without any space.
    pub(crate) fn word(&self, class: u32) -> String {
        let escape = |c: char| match c {
            c if c.is_whitespace() => c.escape_unicode().to_string(),
            c => c.to_string(),
        };
        self.label(class).chars().map(escape).collect()
    }
}
