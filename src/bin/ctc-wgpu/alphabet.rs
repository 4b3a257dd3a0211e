//! What the classes mean, for people.

use std::path::PathBuf;

use clap::Args;

use crate::fault::Fault;

#[derive(Debug, Args)]
pub(crate) struct AlphabetArgs {
    /// A text file with the classes' symbols, in order: one a line, or, if it has one line only, one a character. The blank's may
    /// be left out [default: the classes' numbers]
    #[arg(long, value_name = "FILE")]
    alphabet: Option<PathBuf>,
}

/// A symbol a class.
pub(crate) struct Alphabet {
    symbols: Vec<String>,
    /// What stands between two of them.
    between: &'static str,
}

impl AlphabetArgs {
    /// For so many classes, of which one is the blank.
    pub(crate) fn read(&self, classes: usize, blank: usize) -> Result<Alphabet, Fault> {
        let Some(path) = &self.alphabet else {
            return Ok(Alphabet {
                symbols: (0..classes).map(|class| class.to_string()).collect(),
                between: " ",
            });
        };
        let text = std::fs::read_to_string(path).map_err(|e| Fault::file(path, e))?;
        let lines: Vec<&str> = text.lines().collect();
        let mut symbols: Vec<String> = match lines[..] {
            [line] => line.chars().map(String::from).collect(),
            _ => lines.into_iter().map(str::to_owned).collect(),
        };
        if symbols.len() + 1 == classes {
            symbols.insert(blank.min(symbols.len()), String::new());
        }
        if symbols.len() != classes {
            let got = symbols.len();
            let reason =
                format!("{got} symbols, but {classes} classes (the blank's may be left out)");
            return Err(Fault::file(path, reason));
        }
        let single = symbols.iter().all(|symbol| symbol.chars().count() <= 1);
        Ok(Alphabet {
            symbols,
            between: if single { "" } else { " " },
        })
    }
}

impl Alphabet {
    pub(crate) fn symbol(&self, class: u32) -> &str {
        // A star is no class of any network.
        self.symbols.get(class as usize).map_or("*", String::as_str)
    }

    pub(crate) fn text(&self, labels: &[u32]) -> String {
        let symbols: Vec<&str> = labels.iter().map(|label| self.symbol(*label)).collect();
        symbols.join(self.between)
    }
}
