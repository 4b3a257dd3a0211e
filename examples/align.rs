//! Aligns 32 lines of text with the output of a small OCR network. Prints the frames and the
//! probability of each symbol, for the first two lines and for lines that greedy decoding misreads.
//!
//! Run it with `cargo run --release --example align`. It reads
//! `tests/data/ocr/keras_ocr_trained.npz`. For your own files use `ctc-wgpu align`, which can also
//! plot.

use std::error::Error;
use std::fs::File;
use std::io::BufReader;

use ctc_wgpu::decode::{Alignment, align, greedy};
use ctc_wgpu::{Batch, Blank, Options, Status};
use npyz::npz::NpzArchive;

const FILE: &str = "tests/data/ocr/keras_ocr_trained.npz";
/// The symbols of the classes; the class after them is the blank.
const ALPHABET: &str = "0123456789ABCDEFGHK";
/// N, T and C.
const SHAPE: [usize; 3] = [32, 50, 20];

fn main() -> Result<(), Box<dyn Error>> {
    let mut file = NpzArchive::open(FILE).map_err(|e| format!("{FILE}: {e}"))?;
    let logits: Vec<f32> = array(&mut file, "logits")?;
    let labels: Vec<i32> = array(&mut file, "labels")?;
    let label_lengths: Vec<i32> = array(&mut file, "label_lengths")?;
    let logit_lengths: Vec<i32> = array(&mut file, "logit_lengths")?;
    let batch = Batch::new(SHAPE, &logits)
        .labels(&labels, &label_lengths)
        .logit_lengths(&logit_lengths);
    let options = Options::default().blank(Blank::Last);

    let alignments = align(&batch, &options)?;
    // The decoded labels, to find the items that the network misreads.
    let readings = greedy(&batch, &options)?;
    for (item, (alignment, reading)) in alignments.iter().zip(&readings).enumerate() {
        let labels: Vec<u32> = alignment.spans.iter().map(|span| span.label).collect();
        if item < 2 || reading.labels != labels {
            print_alignment(item, &labels, alignment, &reading.labels);
        }
    }

    // Wrong labels and bad images are most likely where a label has a low probability.
    let spans = alignments.iter().enumerate().flat_map(|(item, alignment)| {
        let spans = alignment.spans.iter().enumerate();
        spans.map(move |(position, span)| (span.probability, item, position))
    });
    if let Some((probability, item, position)) = spans.min_by(|a, b| a.0.total_cmp(&b.0)) {
        println!(
            "least probable: symbol {position} of item {item}, with probability {probability:.4}"
        );
    }
    Ok(())
}

/// Prints the frames and the probability of an item's symbols.
fn print_alignment(item: usize, labels: &[u32], alignment: &Alignment, read: &[u32]) {
    if alignment.status != Status::Ok {
        println!("item {item}: {:?}\n", alignment.status);
        return;
    }
    let read = match read == labels {
        true => String::new(),
        false => format!(", read as {}", text(read)),
    };
    let probability = alignment.log_prob.exp();
    println!(
        "item {item}: {}{read}; the path has probability {probability:.4}",
        text(labels)
    );
    // One character per frame; · is the blank.
    println!("  {}", text(&alignment.path));
    println!("  symbol  frames  probability");
    for span in &alignment.spans {
        let frames = match span.frames.len() {
            1 => span.frames.start.to_string(),
            _ => format!("{}–{}", span.frames.start, span.frames.end - 1),
        };
        let symbol = text(&[span.label]);
        println!("  {symbol:>6}  {frames:>6}  {:>11.4}", span.probability);
    }
    println!();
}

fn text(classes: &[u32]) -> String {
    let symbol = |class: &u32| ALPHABET.chars().nth(*class as usize).unwrap_or('·');
    classes.iter().map(symbol).collect()
}

fn array<T: npyz::Deserialize>(
    file: &mut NpzArchive<BufReader<File>>,
    name: &str,
) -> Result<Vec<T>, Box<dyn Error>> {
    let array = file.by_name(name)?;
    Ok(array
        .ok_or(format!("{FILE}: array `{name}` is missing"))?
        .into_vec()?)
}
