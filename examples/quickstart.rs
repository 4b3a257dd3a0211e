//! Losses and gradient of arrays on the host: two made-up words, read by a network that is nearly sure of itself.
//!
//! Run it with `cargo run --release --example quickstart`.

use ctc_wgpu::{Batch, Blank, Ctc, Error, Options};

/// The classes of the "network". The blank, which means "no letter here", is one class more: the last.
const ALPHABET: [char; 4] = ['a', 'c', 't', 'w'];
const CLASSES: usize = ALPHABET.len() + 1;
const FRAMES: usize = 8;

fn main() -> Result<(), Error> {
    // What the network says in each frame, written as its best class. Item 0 reads "cat", item 1 "act". A letter may last
    // for several frames; a blank (·) may stand between letters, and must between two that are equal.
    let logits: Vec<f32> = ["cc·aa·t·", "aa·ct···"]
        .iter()
        .flat_map(|frames| frames.chars())
        .flat_map(scores)
        .collect();

    // What it should have said: "cat" and "wact". Labels are rows of a padded array; only as many of a row count as the
    // item's length says, so it does not matter with what a row is filled up.
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

    // The best adapter, or the CPU backend where there is none. Keep it: it compiles its kernels once.
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

    // The gradient has the shape of the logits: [item, frame, class]. Where it is negative, the loss wants more of the
    // class in that frame. Item 1 lacks its "w", so it is asked for at the beginning.
    println!("\ngradient of item 1, a row a frame:");
    println!("frame      a      c      t      w  blank");
    let item = &output.grad[FRAMES * CLASSES..];
    for (frame, row) in item.chunks(CLASSES).enumerate() {
        let row: String = row.iter().map(|g| format!("{g:7.3}")).collect();
        println!("{frame:>4}{row}");
    }
    Ok(())
}

/// Scores of one frame: one class far above the others. They need not be normalised; the softmax is taken inside.
fn scores(best: char) -> [f32; CLASSES] {
    let best = ALPHABET.iter().position(|c| *c == best);
    let mut scores = [0.0; CLASSES];
    scores[best.unwrap_or(CLASSES - 1)] = 5.0;
    scores
}

/// A letter's class.
fn label(letter: char) -> i32 {
    (0..)
        .zip(ALPHABET)
        .find_map(|(class, c)| (c == letter).then_some(class))
        .unwrap_or(-1)
}
