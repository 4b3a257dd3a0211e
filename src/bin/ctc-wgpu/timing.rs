//! Alignments in the forms that speech tools read.

use std::fmt::Write as _;

use ctc_wgpu::decode::Alignment;

use crate::alphabet::Alphabet;

/// NIST's CTM: a line a label with file, channel, begin, duration, symbol, confidence.
pub(crate) fn ctm(alignments: &[(usize, &Alignment)], alphabet: &Alphabet, frame: f64) -> String {
    let mut text = String::new();
    for (item, alignment) in alignments {
        for span in &alignment.spans {
            let begin = span.frames.start as f64 * frame;
            let duration = span.frames.len() as f64 * frame;
            let symbol = alphabet.symbol(span.label);
            let _ = writeln!(
                text,
                "item{item} 1 {begin:.3} {duration:.3} {symbol} {:.3}",
                span.probability
            );
        }
    }
    text
}

/// Praat's TextGrid, the long form: a tier an item, whose empty intervals are blanks.
pub(crate) fn text_grid(
    alignments: &[(usize, &Alignment)],
    alphabet: &Alphabet,
    frame: f64,
) -> String {
    let time = |frames: usize| frames as f64 * frame;
    let longest = alignments.iter().map(|(_, alignment)| alignment.path.len());
    let end = time(longest.max().unwrap_or(0));
    let mut text = format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {end}\ntiers? <exists>\nsize = {}\nitem []:\n",
        alignments.len()
    );
    for (number, (item, alignment)) in alignments.iter().enumerate() {
        let mut intervals = Vec::new();
        let mut done = 0;
        for span in &alignment.spans {
            if span.frames.start > done {
                intervals.push((done, span.frames.start, ""));
            }
            intervals.push((
                span.frames.start,
                span.frames.end,
                alphabet.symbol(span.label),
            ));
            done = span.frames.end;
        }
        if time(done) < end || intervals.is_empty() {
            let frames = alignments.iter().map(|(_, alignment)| alignment.path.len());
            intervals.push((done, frames.max().unwrap_or(0), ""));
        }
        let _ = write!(
            text,
            "    item [{}]:\n        class = \"IntervalTier\"\n        name = \"item {item}\"\n        xmin = 0\n        xmax = {end}\n        intervals: size = {}\n",
            number + 1,
            intervals.len()
        );
        for (index, (begin, finish, symbol)) in intervals.iter().enumerate() {
            let symbol = symbol.replace('"', "\"\"");
            let _ = write!(
                text,
                "        intervals [{}]:\n            xmin = {}\n            xmax = {}\n            text = \"{symbol}\"\n",
                index + 1,
                time(*begin),
                time(*finish)
            );
        }
    }
    text
}
