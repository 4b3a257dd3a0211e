//! Reads alphabets in the common file formats.
//!
//! A missing or extra symbol would shift all symbols after it without any failure. An ambiguous
//! file is therefore an error whose message describes an unambiguous way to write it.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_json::Value;
use unicode_normalization::UnicodeNormalization;
use unicode_segmentation::UnicodeSegmentation;

use super::is_blank;

/// The size of the longest file that is read. The largest alphabets have a few hundred thousand
/// symbols.
const MAX_BYTES: u64 = 64 << 20;

/// Reads one symbol per class. The error is the reason, without the path.
pub(super) fn read(path: &Path, classes: usize, blank: usize) -> Result<Vec<String>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|e| e.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!(
            "is too long for an alphabet: at most {MAX_BYTES} bytes are read"
        ));
    }
    let symbols = AlphabetParser { classes, blank }.parse(&text(bytes)?)?;
    let names_blank = |symbol: &String| is_blank(symbol);
    match symbols.iter().position(names_blank) {
        Some(class) if !symbols.get(blank).is_some_and(names_blank) => Err(format!(
            "class {class} is `{}`, but the blank is class {blank}: use `--blank {class}`",
            symbols[class]
        )),
        _ => Ok(symbols),
    }
}

/// Decodes the file as UTF-8, without a byte order mark.
fn text(bytes: Vec<u8>) -> Result<String, String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || bytes.contains(&0) {
        return Err("is not UTF-8, but perhaps UTF-16: save it as UTF-8".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        format!("is not valid UTF-8 at byte {at}: save it as UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.replace("\r\n", "\n").contains('\r') {
        return Err(
            "contains a carriage return within a line: end each line with a newline".to_owned(),
        );
    }
    Ok(text.to_owned())
}

/// Parses an alphabet for a known number of classes and a known blank.
struct AlphabetParser {
    classes: usize,
    blank: usize,
}

impl AlphabetParser {
    fn parse(&self, text: &str) -> Result<Vec<String>, String> {
        if let Some(symbols) = self.json(text) {
            return symbols;
        }
        let mut lines: Vec<&str> = text.lines().collect();
        // Editors add empty lines at the end, and only the blank's symbol can be empty.
        while lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        match lines[..] {
            [line] => self.characters(line),
            _ => match self.numbered_lines(&lines) {
                Some(symbols) => symbols,
                None => self.counted(lines.into_iter().map(str::to_owned).collect()),
            },
        }
    }

    /// Inserts the blank's symbol if it is missing; returns `None` if there are too many or too few
    /// symbols.
    fn fit(&self, mut symbols: Vec<String>) -> Option<Vec<String>> {
        let without_blank = !symbols.iter().any(|symbol| is_blank(symbol));
        if without_blank && symbols.len() + 1 == self.classes {
            symbols.insert(self.blank.min(symbols.len()), String::new());
        }
        (symbols.len() == self.classes).then_some(symbols)
    }

    fn counted(&self, symbols: Vec<String>) -> Result<Vec<String>, String> {
        let (got, classes) = (symbols.len(), self.classes);
        let named = symbols.iter().find(|symbol| is_blank(symbol)).cloned();
        self.fit(symbols).ok_or_else(|| match named {
            Some(name) => format!("{got} symbols including the blank `{name}`, but {classes} classes"),
            None if got + 2 == classes => format!(
                "{got} symbols, but {classes} classes: the blank's symbol is optional, and one more is \
                 missing (PP-OCR's `use_space_char` adds a space: add it as the last line)"
            ),
            None => {
                format!("{got} symbols, but {classes} classes (the blank's symbol is optional)")
            }
        })
    }

    /// Parses one line with one symbol per character. A combining mark may be a symbol of its own
    /// or belong to the character before it; the number of classes decides. Equivalent texts give
    /// the same symbols: a character that has a composed form (`é`) is one symbol, also if the file
    /// contains it decomposed.
    fn characters(&self, line: &str) -> Result<Vec<String>, String> {
        let graphemes: Vec<String> = line.graphemes(true).map(str::to_owned).collect();
        let characters: Vec<String> = line.nfc().map(String::from).collect();
        let (min, max, classes) = (graphemes.len(), characters.len(), self.classes);
        if min == max {
            return self.counted(graphemes);
        }
        let both =
            format!("{max} symbols, or {min} if each mark belongs to the character before it");
        match (self.fit(graphemes), self.fit(characters)) {
            (Some(symbols), None) | (None, Some(symbols)) => Ok(symbols),
            (Some(_), Some(_)) => Err(format!(
                "{both}, and {classes} classes match either (the blank's symbol is optional): write one \
                 symbol per line"
            )),
            (None, None) => Err(format!(
                "{both}, but {classes} classes (the blank's symbol is optional): write one symbol per \
                 line"
            )),
        }
    }

    /// Parses lines of a symbol and a number, as in k2's tokens.txt; returns `None` if most lines
    /// have no number.
    fn numbered_lines(&self, lines: &[&str]) -> Option<Result<Vec<String>, String>> {
        let numbered = lines.iter().filter(|line| entry(line).is_some()).count();
        if numbered * 2 <= lines.len() {
            return None;
        }
        let entries = lines.iter().enumerate().map(|(at, line)| {
            // The symbol of a line with only a number is a space.
            let alone = || Some((" ", line.trim().parse().ok()?));
            entry(line).or_else(alone).ok_or_else(|| {
                let number = at + 1;
                format!(
                    "line {number} has no number after its symbol, but other lines do: `{line}`"
                )
            })
        });
        Some(
            entries
                .collect::<Result<Vec<_>, _>>()
                .and_then(|entries| self.numbered(entries)),
        )
    }

    /// Parses a list of symbols, or an object that maps each symbol to its class; returns `None` if
    /// the text is neither.
    fn json(&self, text: &str) -> Option<Result<Vec<String>, String>> {
        if !text.trim_start().starts_with(['{', '[']) {
            return None;
        }
        match serde_json::from_str(text).ok()? {
            Value::Array(symbols) => {
                let text = |symbol: &Value| symbol.as_str().map(str::to_owned);
                let symbols: Option<Vec<String>> = symbols.iter().map(text).collect();
                Some(self.counted(symbols?))
            }
            Value::Object(symbols) => {
                let number = |number: &Value| usize::try_from(number.as_u64()?).ok();
                let entries: Option<Vec<(&str, usize)>> = symbols
                    .iter()
                    .map(|(symbol, class)| Some((symbol.as_str(), number(class)?)))
                    .collect();
                Some(self.numbered(entries?))
            }
            _ => None,
        }
    }

    /// Arranges symbols with explicit classes, which may be in any order.
    fn numbered(&self, entries: Vec<(&str, usize)>) -> Result<Vec<String>, String> {
        let classes = self.classes;
        let mut symbols = vec![None; classes];
        for (symbol, class) in entries {
            match symbols.get_mut(class) {
                Some(place @ None) => *place = Some(symbol.to_owned()),
                Some(Some(other)) => {
                    return Err(format!(
                        "`{other}` and `{symbol}` both have the number {class}"
                    ));
                }
                // Symbols of decoding graphs, whose numbers follow the classes.
                None if is_disambiguation(symbol) => {}
                None => {
                    return Err(format!(
                        "`{symbol}` has the number {class}, but there are {classes} classes, counted from 0"
                    ));
                }
            }
        }
        let named = symbols.iter().flatten().any(|symbol| is_blank(symbol));
        let filled = symbols.into_iter().enumerate().map(|(class, symbol)| {
            let blank = class == self.blank && !named;
            symbol
                .or_else(|| blank.then(String::new))
                .ok_or_else(|| format!("no symbol has the number {class}, but there are {classes} classes, counted from 0"))
        });
        filled.collect()
    }
}

/// Splits a line into its symbol and its number.
fn entry(line: &str) -> Option<(&str, usize)> {
    let (symbol, class) = line.rsplit_once([' ', '\t'])?;
    let class = class.parse().ok()?;
    match symbol.trim_end_matches([' ', '\t']) {
        "" => Some((" ", class)),
        symbol => Some((symbol, class)),
    }
}

/// Returns true for `#0`, `#1`, …
fn is_disambiguation(symbol: &str) -> bool {
    let number = symbol.strip_prefix('#');
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}
