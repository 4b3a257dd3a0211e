//! Loss and gradient of arrays on the host: two words, and the output of a confident network.
//!
//! Run it with `cargo run --release --example quickstart`.

use ctc_wgpu::{Batch, Blank, Ctc, Error, Options};

/// The letters are classes of the network. The blank, which stands for no letter, is an additional
/// class, the last.
const ALPHABET: [char; 4] = ['a', 'c', 't', 'w'];
const CLASSES: usize = ALPHABET.len() + 1;
const FRAMES: usize = 8;

fn main() -> Result<(), Error> {
    // The output of the network, as the best class of each frame: "cat" for item 0 and "act" for
    // item 1. A letter may span several frames. A blank (·) may separate letters, and must separate
    // two equal ones.
    let logits: Vec<f32> = ["cc·aa·t·", "aa·ct···"]
        .iter()
        .flat_map(|frames| frames.chars())
        .flat_map(scores)
        .collect();

    // The expected labels: "cat" and "wact". Labels are the rows of a padded array; the values past
    // an item's length are ignored.
    let labels = [
        label('c'),
        label('a'),
        label('t'),
        -1,
        label('w'),
        label('a'),
        label('c'),
        label('t'),
    ];
    let label_lengths = [3, 4];
    // The last frame of item 1 is padding. Its gradient will be 0.
    let logit_lengths = [8, 7];

    // Uses the best adapter, or the CPU backend if there is none. Create it once and keep it: it
    // compiles its kernels at first use.
    let ctc = Ctc::new()?;
    println!("computing on {}\n", ctc.backend());

    let batch = Batch::new([2, FRAMES, CLASSES], &logits)
        .labels(&labels, &label_lengths)
        .logit_lengths(&logit_lengths);
    let options = Options::default().blank(Blank::Last);
    let output = ctc.loss_and_grad(&batch, &options)?;

    for (item, word) in ["cat", "wact"].iter().enumerate() {
        let (loss, status) = (output.loss[item], output.status[item]);
        let probability = (-loss).exp();
        println!("item {item}: p(\"{word}\") = {probability:.2e}, loss {loss:.4} nats, {status:?}");
    }

    // The gradient has the shape of the logits: [item, frame, class]. Where it is negative, a
    // larger logit decreases the loss. Item 1 lacks its "w", so the gradient of "w" is negative in
    // its first frames.
    println!("\ngradient of item 1, one row per frame:");
    println!("frame      a      c      t      w  blank");
    let item = &output.grad[FRAMES * CLASSES..];
    for (frame, row) in item.chunks(CLASSES).enumerate() {
        let row: String = row.iter().map(|g| format!("{g:7.3}")).collect();
        println!("{frame:>4}{row}");
    }
    Ok(())
}

/// Returns the logits of one frame, with one class far above the others. Logits need not be
/// normalised.
fn scores(best: char) -> [f32; CLASSES] {
    let best = ALPHABET.iter().position(|c| *c == best);
    let mut scores = [0.0; CLASSES];
    scores[best.unwrap_or(CLASSES - 1)] = 5.0;
    scores
}

/// Returns a letter's class.
fn label(letter: char) -> i32 {
    (0..)
        .zip(ALPHABET)
        .find_map(|(class, c)| (c == letter).then_some(class))
        .unwrap_or(-1)
}
