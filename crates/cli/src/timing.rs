//! Formats alignments for speech tools, as CTM and as TextGrid.

use std::fmt::Write as _;

use ctc_wgpu::decode::Alignment;

use crate::alphabet::Alphabet;

/// The duration of a frame in seconds, and the number of decimals of printed times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    frame: f64,
    decimals: usize,
}

/// The shortest frame in seconds, the finest resolution of printed times.
const SHORTEST: f64 = 1e-6;
/// The longest frame in seconds, for which the end of the longest item in microseconds fits into 64
/// bits.
const LONGEST: f64 = 3600.0;

impl Clock {
    /// Returns the clock for frames of `frame` seconds, or `None` if that is not between
    /// [`SHORTEST`] and [`LONGEST`].
    pub(crate) fn new(frame: f64) -> Option<Self> {
        if !(SHORTEST..=LONGEST).contains(&frame) {
            return None;
        }
        // As many decimals as the frame has, so that its multiples are exact if possible.
        let text = frame.to_string();
        let decimals = text.split_once('.').map_or(0, |(_, digits)| digits.len());
        Some(Self {
            frame,
            decimals: decimals.clamp(3, 6),
        })
    }

    /// Returns the start of a frame in ticks, units of the last decimal.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "2^31 frames of an hour are 2^63 microseconds"
    )]
    fn ticks(self, frame: usize) -> u64 {
        let ticks_per_second = 10_f64.powi(i32::try_from(self.decimals).unwrap_or_default());
        (frame as f64 * self.frame * ticks_per_second).round() as u64
    }

    /// Formats ticks as seconds.
    fn seconds(self, ticks: u64) -> String {
        let per_second = 10_u64.pow(u32::try_from(self.decimals).unwrap_or_default());
        let (whole, rest) = (ticks / per_second, ticks % per_second);
        format!("{whole}.{rest:0width$}", width = self.decimals)
    }

    /// Formats the start of a frame in seconds, without trailing zeros.
    fn time(self, frame: usize) -> String {
        let seconds = self.seconds(self.ticks(frame));
        let seconds = seconds.trim_end_matches('0').trim_end_matches('.');
        seconds.to_owned()
    }
}

/// An alignment with the index and the number of frames of its item: (item, frames, alignment).
pub(crate) type Aligned<'a> = (usize, usize, &'a Alignment);

/// Formats NIST's CTM: one line per label with file, channel, start, duration, symbol and
/// confidence. Start and duration are in seconds.
pub(crate) fn ctm(alignments: &[Aligned<'_>], alphabet: &Alphabet, clock: Clock) -> String {
    let mut text = String::new();
    for (item, _, alignment) in alignments {
        for span in &alignment.spans {
            let begin = clock.ticks(span.frames.start);
            // The difference of the rounded times, so that no label ends after the next one begins.
            let duration = clock.ticks(span.frames.end) - begin;
            let _ = writeln!(
                text,
                "item{item} 1 {} {} {} {:.3}",
                clock.seconds(begin),
                clock.seconds(duration),
                alphabet.word(span.label),
                span.probability
            );
        }
    }
    text
}

/// Formats Praat's TextGrid in its long format: one tier per item, whose empty intervals are
/// blanks. Returns `None` if no item has a frame, since a TextGrid cannot be empty.
pub(crate) fn text_grid(
    alignments: &[Aligned<'_>],
    alphabet: &Alphabet,
    clock: Clock,
) -> Option<String> {
    let frames = alignments.iter().map(|(_, frames, _)| *frames).max()?;
    if frames == 0 {
        return None;
    }
    let end = clock.time(frames);
    let mut text = format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {end}\ntiers? <exists>\nsize = {}\nitem []:\n",
        alignments.len()
    );
    for (number, (item, _, alignment)) in alignments.iter().enumerate() {
        let mut intervals = Vec::new();
        let mut done = 0;
        for span in &alignment.spans {
            if span.frames.start > done {
                intervals.push((done, span.frames.start, String::new()));
            }
            let label = alphabet.label(span.label).replace('"', "\"\"");
            intervals.push((span.frames.start, span.frames.end, label));
            done = span.frames.end;
        }
        if done < frames {
            intervals.push((done, frames, String::new()));
        }
        let _ = write!(
            text,
            "    item [{}]:\n        class = \"IntervalTier\"\n        name = \"item {item}\"\n        xmin = 0\n        xmax = {end}\n        intervals: size = {}\n",
            number + 1,
            intervals.len()
        );
        for (index, (begin, finish, label)) in intervals.iter().enumerate() {
            let _ = write!(
                text,
                "        intervals [{}]:\n            xmin = {}\n            xmax = {}\n            text = \"{label}\"\n",
                index + 1,
                clock.time(*begin),
                clock.time(*finish)
            );
        }
    }
    Some(text)
}
