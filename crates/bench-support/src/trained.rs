//! Logits like those of a trained network: confident at nearly every frame, mostly a blank.
//!
//! `benches/peers/inputs.py` is its equal in numpy.

/// T, N, C and L of the batches for decoders.
pub const SHAPES: [[usize; 4]; 3] = [
    [50, 32, 20, 12],   // a small OCR network
    [1500, 8, 32, 300], // half a minute of speech, characters
    [150, 4, 5000, 20], // word pieces, or Chinese characters
];

/// The logit that is added to the most probable class of a frame.
const PEAK: f32 = 12.0;

/// Adds a path through the labels to noise of variance 1.
///
/// Each label has two frames, in the second of which it is as probable as the blank; all other
/// frames are blanks. In the first frame of every fourth label another class is nearly as probable,
/// so that it is sometimes decoded instead.
pub fn sharpen(logits: &mut [f32], labels: &[i32], [frames, items, classes, length]: [usize; 4]) {
    let class = |label: i32| usize::try_from(label).unwrap_or(0);
    for n in 0..items {
        let item = &mut logits[n * frames * classes..][..frames * classes];
        let labels = &labels[n * length..][..length];
        let first = |i: usize| (2 * i + 1) * frames / (2 * length);
        let mut blank = vec![true; frames];
        for (i, label) in labels.iter().map(|label| class(*label)).enumerate() {
            let (t, rival) = (first(i), 1 + label % (classes - 1));
            blank[t] = false;
            item[t * classes + label] += PEAK;
            if i % 4 == 3 && rival != label {
                item[t * classes + rival] += PEAK - 1.0;
            }
            if t + 1 < frames {
                item[(t + 1) * classes + label] += PEAK;
            }
        }
        for (row, _) in item.chunks_mut(classes).zip(blank).filter(|(_, is)| *is) {
            row[0] += PEAK;
        }
    }
}
