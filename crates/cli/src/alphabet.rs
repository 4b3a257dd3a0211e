//! The alphabet: the symbols of the classes.

mod file;

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::Args;
use unicode_segmentation::UnicodeSegmentation;

use crate::error::CliError;
use crate::format;
use ctc_wgpu_npz::escaped;

#[derive(Debug, Args)]
pub(crate) struct AlphabetArgs {
    /// The symbols of the classes, in order [default: the class numbers are printed]
    ///
    /// The file is UTF-8 text with one symbol per line; or one line whose characters are the
    /// symbols; or k2's tokens.txt, with a symbol and its class number per line; or JSON, a
    /// list of symbols or an object such as wav2vec2's vocab.json. The blank's symbol is
    /// optional. Word separators, such as wav2vec2's `|`, are printed unchanged.
    #[arg(verbatim_doc_comment, long, value_name = "FILE")]
    alphabet: Option<PathBuf>,

    /// The text to print between two symbols [default: nothing between characters, a space
    /// between longer symbols]
    #[arg(verbatim_doc_comment, long, value_name = "TEXT", requires = "alphabet")]
    separator: Option<String>,
}

/// One symbol per class.
pub(crate) struct Alphabet {
    /// `None` if the class numbers are printed.
    symbols: Option<Vec<String>>,
    separator: String,
}

impl AlphabetArgs {
    /// Reads the alphabet for the given number of classes.
    pub(crate) fn read(&self, classes: usize, blank: usize) -> Result<Alphabet, CliError> {
        let Some(path) = &self.alphabet else {
            return Ok(Alphabet {
                symbols: None,
                separator: " ".to_owned(),
            });
        };
        let symbols =
            file::read(path, classes, blank).map_err(|reason| CliError::file(path, reason))?;
        if let Some(warning) = blank_warning(&symbols, blank) {
            format::note(path, &warning);
        }
        let separator = self.separator.clone();
        Ok(Alphabet {
            separator: separator.unwrap_or_else(|| separator_of(&symbols, blank).to_owned()),
            symbols: Some(symbols),
        })
    }

    /// Returns the path of the alphabet, which no output may replace.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.alphabet.as_deref()
    }
}

/// Returns true for a named token such as `<unk>` or `[PAD]`.
fn is_named(symbol: &str) -> bool {
    let inside = |open, close| symbol.strip_prefix(open)?.strip_suffix(close);
    [inside('<', '>'), inside('[', ']')]
        .iter()
        .flatten()
        .any(|name: &&str| !name.is_empty())
}

/// Returns true for a name that only a blank has.
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

/// Returns a warning if the symbols suggest that the blank is another class.
fn blank_warning(symbols: &[String], blank: usize) -> Option<String> {
    let own = symbols.get(blank)?;
    if own.chars().count() == 1 && own.chars().all(char::is_alphanumeric) {
        return Some(format!(
            "class {blank}, the blank, is `{own}`: if another class is the blank, set it with `--blank`"
        ));
    }
    let padding = symbols
        .iter()
        .position(|symbol| symbol.eq_ignore_ascii_case("<pad>") || symbol == "[PAD]")?;
    (padding != blank && !is_named(own)).then(|| {
        let name = &symbols[padding];
        format!(
            "class {padding} is `{name}`, which is the blank in many alphabets, but the blank is \
             class {blank}: if that is wrong, use `--blank {padding}`"
        )
    })
}

/// Returns the default separator: none for characters and word pieces, a space for longer symbols.
/// A list of characters may contain a few longer lines, as PP-OCR's lists do; lists of phonemes or
/// words contain many. Word pieces contain their own mark for a space (SentencePiece's `▁`).
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
    /// Returns the symbol as it is in the file.
    pub(crate) fn symbol(&self, class: u32) -> Cow<'_, str> {
        match &self.symbols {
            // The wildcard of `align --star`.
            _ if class == u32::MAX => "*".into(),
            Some(symbols) => symbols
                .get(class as usize)
                .map_or("*", String::as_str)
                .into(),
            None => class.to_string().into(),
        }
    }

    /// Returns the symbols of the labels, joined by the separator.
    pub(crate) fn text(&self, labels: &[u32]) -> String {
        let symbols: Vec<_> = labels.iter().map(|label| self.symbol(*label)).collect();
        symbols.join(&self.separator)
    }

    /// Returns the symbol for a table cell or an attribute: not empty, without characters that
    /// control a terminal or that XML forbids, and without spaces at its ends, which parsers trim.
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

    /// Returns the symbol as one word: [`label`](Self::label) with all spaces escaped.
    pub(crate) fn word(&self, class: u32) -> String {
        let escape = |c: char| match c {
            c if c.is_whitespace() => c.escape_unicode().to_string(),
            c => c.to_string(),
        };
        self.label(class).chars().map(escape).collect()
    }
}
