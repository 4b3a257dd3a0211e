//! Beam search with a language model: character n-grams improve the results of a weak network.
//!
//! Run it with `cargo run --release --example ngram`. The model counts n-grams in nine of ten lines
//! of a text, the Apache licence. The remaining lines are decoded from the output of a simulated
//! weak network. The model is a [`Scorer`]; your own model can implement the same trait.

use std::collections::HashMap;

use ctc_wgpu::decode::{BeamOptions, BeamResult, EditCounts, Scorer, beam, beam_with, greedy};
use ctc_wgpu::{Batch, Error, Options};

const TEXT: &str = include_str!("../LICENSE-APACHE");
/// The blank, the space, and the letters.
const CLASSES: usize = 28;

fn main() -> Result<(), Error> {
    let lines: Vec<Vec<u32>> = TEXT.lines().map(labels).filter(|l| l.len() > 20).collect();
    let (test, train): (Vec<_>, Vec<_>) = lines.iter().enumerate().partition(|(i, _)| i % 10 == 9);
    let test: Vec<&[u32]> = test.into_iter().map(|(_, line)| &line[..]).collect();
    let (logits, lengths) = network(&test);
    let frames = logits.len() / CLASSES / test.len();
    let batch = Batch::new([test.len(), frames, CLASSES], &logits).logit_lengths(&lengths);

    let options = Options::default();
    let wide = BeamOptions::default().width(32);
    let most_probable_path = greedy(&batch, &options)?;
    let read: Vec<Vec<u32>> = most_probable_path
        .into_iter()
        .map(|read| read.labels)
        .collect();
    println!(
        "{} lines of {} characters\n",
        test.len(),
        test.concat().len()
    );
    println!("                           label error rate   the first line");
    print_errors("most probable path", &test, &read);
    print_errors("beam", &test, &best(beam(&batch, &options, &wide)?));
    for (name, order) in [("beam with bigrams", 2), ("beam with trigrams", 3)] {
        let model = Ngrams::count(order, train.iter().map(|(_, line)| &line[..]));
        let found = beam_with(&batch, &options, &wide, &model)?;
        print_errors(name, &test, &best(found));
    }
    println!("{:45}{}", "expected", text(test[0]));
    Ok(())
}

/// A model of n-grams: counts of label sequences in a text.
struct Ngrams {
    order: usize,
    /// The count of each sequence of 1 to `order` labels.
    runs: HashMap<Vec<u32>, f64>,
    /// The count of each shorter sequence that is followed by a label.
    contexts: HashMap<Vec<u32>, f64>,
}

impl Ngrams {
    /// The weight of the model's logarithms.
    const WEIGHT: f64 = 0.8;
    /// A bonus per label, so that hypotheses do not become too short.
    const LABEL: f64 = 1.6;
    /// The count of a context at which the relative frequency after it and the probability after
    /// the shorter context have equal weights.
    const TRUST: f64 = 4.0;

    fn count<'a>(order: usize, lines: impl Iterator<Item = &'a [u32]>) -> Self {
        let mut model = Self {
            order,
            runs: HashMap::new(),
            contexts: HashMap::new(),
        };
        for line in lines {
            for end in 1..=line.len() {
                for start in end.saturating_sub(order)..end {
                    let context = &line[start..end - 1];
                    *model.runs.entry(line[start..end].to_vec()).or_default() += 1.0;
                    *model.contexts.entry(context.to_vec()).or_default() += 1.0;
                }
            }
        }
        model
    }

    /// Returns the probability of the last label of `run` after the others: a mean of its relative
    /// frequency and the probability for the run without its first label.
    fn probability(&self, run: &[u32]) -> f64 {
        let [context @ .., _] = run else {
            return 1.0 / (CLASSES - 1) as f64;
        };
        let seen = |runs: &HashMap<Vec<u32>, f64>, run| runs.get(run).copied().unwrap_or(0.0);
        let shorter = self.probability(&run[1..]);
        (seen(&self.runs, run) + Self::TRUST * shorter)
            / (seen(&self.contexts, context) + Self::TRUST)
    }
}

impl Scorer for Ngrams {
    /// The last `order − 1` labels.
    type State = Vec<u32>;

    fn start(&self) -> Vec<u32> {
        Vec::new()
    }

    fn extend(&self, state: &Vec<u32>, label: u32) -> (Vec<u32>, f64) {
        let run = [&state[..], &[label]].concat();
        let added = Self::WEIGHT * self.probability(&run).ln() + Self::LABEL;
        let kept = run.len().min(self.order - 1);
        (run[run.len() - kept..].to_vec(), added)
    }

    fn finish(&self, _state: &Vec<u32>) -> f64 {
        0.0
    }

    /// A label adds at most its bonus, because the logarithm of a probability is at most 0.
    fn max_score(&self) -> f64 {
        Self::LABEL
    }
}

/// Simulates the output of a network for these lines: two frames per label. The most probable class
/// is in most cases the label in the first frame and the blank in the second. Returns the logits
/// `[N, T, C]`, padded to the longest line, and the logit lengths.
fn network(lines: &[&[u32]]) -> (Vec<f32>, Vec<i32>) {
    let frames = 2 * lines.iter().map(|line| line.len()).max().unwrap_or(0);
    let mut rng = fastrand::Rng::with_seed(7);
    // The sum of four uniform numbers is nearly normal, here with a standard deviation of 1.8.
    let mut noise = || (0..4).map(|_| rng.f32() - 0.5).sum::<f32>() * 3.1;
    let mut logits: Vec<f32> = (0..lines.len() * frames * CLASSES)
        .map(|_| noise())
        .collect();
    for (line, item) in lines.iter().zip(logits.chunks_mut(frames * CLASSES)) {
        for (label, two) in line.iter().zip(item.chunks_mut(2 * CLASSES)) {
            two[*label as usize] += 5.0;
            two[CLASSES] += 6.0;
        }
    }
    let length = |line: &&[u32]| i32::try_from(2 * line.len()).unwrap_or(i32::MAX);
    (logits, lines.iter().map(length).collect())
}

/// Returns the labels of each item's best hypothesis.
fn best(found: Vec<BeamResult>) -> Vec<Vec<u32>> {
    let best = |item: BeamResult| item.hypotheses.into_iter().next();
    let labels = |item| best(item).map_or_else(Vec::new, |best| best.labels);
    found.into_iter().map(labels).collect()
}

fn print_errors(name: &str, wanted: &[&[u32]], read: &[Vec<u32>]) {
    let both = wanted.iter().zip(read);
    let edits: EditCounts = both
        .map(|(labels, read)| EditCounts::between(labels, read))
        .sum();
    let rate = 100.0 * edits.rate();
    println!("{name:<25}{rate:>16.1} %   {}", text(&read[0]));
}

/// Returns the labels of a line: its letters in lower case, with one space between words.
fn labels(line: &str) -> Vec<u32> {
    let words = line.split(|c: char| !c.is_ascii_alphabetic());
    let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
    let class = |byte: u8| match byte {
        b' ' => 1,
        letter => u32::from(letter - b'a') + 2,
    };
    let line = words.join(" ").to_ascii_lowercase();
    line.bytes().map(class).collect()
}

fn text(labels: &[u32]) -> String {
    let symbols = b"_ abcdefghijklmnopqrstuvwxyz";
    let symbol = |label: &u32| char::from(symbols[*label as usize]);
    labels.iter().map(symbol).collect()
}
