//! The demonstration: a line of text, a small network that reads it, and what CTC makes of a label.

mod align;
mod line;
mod network;

use ctc_wgpu::{Batch, Blank, Options};
use js_sys::{Array, Float32Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use crate::bench::seeded;
use crate::js::object;
use crate::loss::status_name;
use crate::session::{self, Wanted};
use line::{ALPHABET, FRAMES, Glyphs, class};
use network::Network;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** What CTC makes of a label: arrays of `[frame, class]`, with the blank last. */
export interface Explanation {
    loss: number;
    status: "ok" | "impossible" | "notFinite";
    /** What the network puts out, after the softmax. */
    probabilities: Float32Array;
    /** How probable it is, given the label, that the alignment is in the class at the frame: softmax − gradient. */
    occupancies: Float32Array;
    /** For each frame of the most probable alignment the position in the label, -1 at a blank; empty if there is none. */
    alignment: number[];
    /** What the network reads, whatever the label. */
    reading: string;
    backend: "gpu" | "cpu";
}
"#;

/// The network with its weights, and the font that it knows.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Reader {
    glyphs: Glyphs,
    network: Network,
}

#[wasm_bindgen]
impl Reader {
    /// From the contents of `weights.bin` and `glyphs.bin`.
    ///
    /// # Errors
    /// If they are of another network or font.
    #[wasm_bindgen(constructor)]
    pub fn new(weights: &[u8], glyphs: &[u8]) -> Result<Self, JsError> {
        let glyphs = Glyphs::new(glyphs).ok_or_else(|| JsError::new("glyphs.bin is damaged"))?;
        let network = Network::new(weights, glyphs.height)
            .ok_or_else(|| JsError::new("weights.bin is damaged"))?;
        Ok(Self { glyphs, network })
    }

    /// The characters in the order of their classes.
    #[wasm_bindgen(getter)]
    pub fn alphabet(&self) -> String {
        ALPHABET.to_owned()
    }

    /// Columns of a line.
    #[wasm_bindgen(getter)]
    pub fn frames(&self) -> usize {
        FRAMES
    }

    /// Rows of a line.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.glyphs.height
    }

    /// A line of text as `[frame, row]`, from 0 to 1.
    ///
    /// # Errors
    /// If a character is not known, or the text is too long.
    pub fn draw(&self, text: &str, face: usize, spacing: usize) -> Result<Vec<f32>, JsError> {
        let drawn = self.glyphs.draw(text, face, spacing);
        drawn.map_err(|reason| JsError::new(&reason))
    }

    /// The logits of each frame of a drawn line.
    #[must_use]
    pub fn logits(&self, line: &[f32]) -> Vec<f32> {
        self.network.logits(line)
    }

    /// Loss, occupancies and alignment of a label; on the GPU, or on the CPU where there is none.
    ///
    /// # Errors
    /// If a character of the label is not known, or what became of the GPU.
    #[wasm_bindgen(unchecked_return_type = "Explanation")]
    pub async fn explain(&self, logits: Vec<f32>, label: String) -> Result<JsValue, JsError> {
        let unknown = |c: char| JsError::new(&format!("“{c}” is not among {ALPHABET}"));
        let classes: Vec<usize> = label
            .chars()
            .map(|c| class(c).ok_or_else(|| unknown(c)))
            .collect::<Result<_, _>>()?;
        let labels = classes.iter().map(|class| i32::try_from(*class));
        let labels: Vec<i32> = labels.collect::<Result<_, _>>()?;
        let lengths = [i32::try_from(labels.len())?];
        let frames = logits.len() / Network::CLASSES;
        let batch = Batch::new([1, frames, Network::CLASSES], &logits).labels(&labels, &lengths);
        let options = Options::default().blank(Blank::Last);
        let ctc = session::open(Wanted::Auto).await?;
        let output = ctc.loss_and_grad_async(&batch, &options).await;
        let output = output.map_err(session::heed)?;

        let log_probs = log_softmax(&logits);
        let probabilities: Vec<f32> = log_probs.iter().map(|lp| lp.exp()).collect();
        let occupancies: Vec<f32> = probabilities
            .iter()
            .zip(&output.grad)
            // Rounding may leave it a hair outside.
            .map(|(p, g)| (p - g).clamp(0.0, 1.0))
            .collect();
        let blank = Network::CLASSES - 1;
        let path = align::align(&log_probs, Network::CLASSES, &classes, blank).unwrap_or_default();
        let path: Array = path
            .into_iter()
            .map(|place| place.map_or(JsValue::from(-1), JsValue::from))
            .collect();
        Ok(object([
            ("loss", output.loss[0].into()),
            ("status", status_name(output.status[0]).into()),
            (
                "probabilities",
                Float32Array::from(&probabilities[..]).into(),
            ),
            ("occupancies", Float32Array::from(&occupancies[..]).into()),
            ("alignment", path.into()),
            ("reading", read(&log_probs).into()),
            ("backend", session::name(&ctc).into()),
        ]))
    }
}

/// So many numbers of mean 0 and variance 1, the same on every machine: the page adds them to a line.
#[wasm_bindgen(js_name = noiseField)]
#[must_use]
pub fn noise_field(count: usize) -> Vec<f32> {
    seeded::numbers([count, 1, 1, 0], 1.0).0
}

fn log_softmax(logits: &[f32]) -> Vec<f32> {
    let mut rows = logits.to_vec();
    for row in rows.chunks_exact_mut(Network::CLASSES) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = row.iter().map(|x| (x - largest).exp()).sum::<f32>();
        let shift = largest + sum.ln();
        row.iter_mut().for_each(|x| *x -= shift);
    }
    rows
}

/// The most probable class of each frame, repeats merged and blanks left out.
fn read(log_probs: &[f32]) -> String {
    let mut best: Vec<usize> = log_probs
        .chunks_exact(Network::CLASSES)
        .filter_map(|row| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b])))
        .collect();
    best.dedup();
    best.iter()
        .filter_map(|class| ALPHABET.chars().nth(*class))
        .collect()
}
