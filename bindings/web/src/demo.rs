//! The demonstration: a line of text, a small network that decodes it, and the loss, occupancies
//! and alignment of a label.

mod line;
mod network;

use ctc_wgpu::{Batch, Blank, Options, decode};
use js_sys::{Array, Float32Array};
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsError, JsValue};

use crate::js::object;
use crate::loss::status_name;
use crate::session::{self, BackendChoice};
use ctc_wgpu_bench_support::seeded;
use line::{ALPHABET, FRAMES, Glyphs, class};
use network::Network;

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
/** The result of `Recogniser.explain` for a label. Arrays are `[frame, class]`; the blank is the
 * last class. */
export interface Explanation {
    /** In nats. */
    loss: number;
    status: "ok" | "impossible" | "notFinite";
    /** The softmax of the logits. */
    probabilities: Float32Array;
    /** The probability of the class at the frame, given the label: softmax − gradient. */
    occupancies: Float32Array;
    /** The most probable alignment: for each frame the position in the label, or -1 for a blank.
     * Empty if there is no valid alignment. */
    alignment: number[];
    /** The greedily decoded text, which does not depend on the label. */
    decoded: string;
    backend: "gpu" | "cpu";
}
"#;

/// The network with its weights, and the font that it was trained on.
#[wasm_bindgen]
#[derive(Debug)]
pub struct Recogniser {
    glyphs: Glyphs,
    network: Network,
}

#[wasm_bindgen]
impl Recogniser {
    /// Creates a recogniser from the contents of `weights.bin` and `glyphs.bin`.
    ///
    /// # Errors
    /// If a file does not have the expected size.
    #[wasm_bindgen(constructor)]
    pub fn new(weights: &[u8], glyphs: &[u8]) -> Result<Self, JsError> {
        let glyphs = Glyphs::new(glyphs).ok_or_else(|| JsError::new("glyphs.bin is damaged"))?;
        let network = Network::new(weights, glyphs.height)
            .ok_or_else(|| JsError::new("weights.bin is damaged"))?;
        Ok(Self { glyphs, network })
    }

    /// Returns the characters in the order of their classes.
    #[wasm_bindgen(getter)]
    pub fn alphabet(&self) -> String {
        ALPHABET.to_owned()
    }

    /// Returns the number of columns of a line.
    #[wasm_bindgen(getter)]
    pub fn frames(&self) -> usize {
        FRAMES
    }

    /// Returns the number of rows of a line.
    #[wasm_bindgen(getter)]
    pub fn height(&self) -> usize {
        self.glyphs.height
    }

    /// Draws a line of text: `[frame, row]`, values from 0 to 1.
    ///
    /// # Errors
    /// If the alphabet does not contain a character, or the text is too long.
    pub fn draw(&self, text: &str, face: usize, spacing: usize) -> Result<Vec<f32>, JsError> {
        let drawn = self.glyphs.draw(text, face, spacing);
        drawn.map_err(|reason| JsError::new(&reason))
    }

    /// Returns the logits of a drawn line, `[frame, class]`.
    #[must_use]
    pub fn logits(&self, line: &[f32]) -> Vec<f32> {
        self.network.logits(line)
    }

    /// Computes the loss and the occupancies of a label on the GPU, or on the CPU if no GPU is
    /// available. The alignment and the decoded text are computed on the CPU.
    ///
    /// # Errors
    /// If the alphabet does not contain a character of the label, or the GPU fails.
    #[wasm_bindgen(unchecked_return_type = "Explanation")]
    pub async fn explain(&self, logits: Vec<f32>, label: String) -> Result<JsValue, JsError> {
        let unknown = |c: char| JsError::new(&format!("“{c}” is not among {ALPHABET}"));
        let mut labels: Vec<i32> = Vec::new();
        for character in label.chars() {
            let class = class(character).ok_or_else(|| unknown(character))?;
            labels.push(i32::try_from(class)?);
        }
        let lengths = [i32::try_from(labels.len())?];
        let frames = logits.len() / Network::CLASSES;
        let batch = Batch::new([1, frames, Network::CLASSES], &logits).labels(&labels, &lengths);
        let options = Options::default().blank(Blank::Last);
        let ctc = session::open(BackendChoice::Auto).await?;
        let output = ctc.loss_and_grad_async(&batch, &options).await;
        let output = output.map_err(session::release_if_lost)?;

        let probabilities = softmax(&logits);
        let occupancies: Vec<f32> = probabilities
            .iter()
            .zip(&output.grad)
            // A rounding error may move the difference out of this range.
            .map(|(p, g)| (p - g).clamp(0.0, 1.0))
            .collect();
        let alignment: Array = decode::align(&batch, &options)?[0]
            .states
            .iter()
            .map(|state| match state % 2 {
                0 => JsValue::from(-1),
                _ => JsValue::from(state / 2),
            })
            .collect();
        let decoded: String = decode::greedy(&batch, &options)?[0]
            .labels
            .iter()
            .filter_map(|class| ALPHABET.chars().nth(*class as usize))
            .collect();
        Ok(object([
            ("loss", output.loss[0].into()),
            ("status", status_name(output.status[0]).into()),
            (
                "probabilities",
                Float32Array::from(&probabilities[..]).into(),
            ),
            ("occupancies", Float32Array::from(&occupancies[..]).into()),
            ("alignment", alignment.into()),
            ("decoded", decoded.into()),
            ("backend", session::backend_name(&ctc).into()),
        ]))
    }
}

/// Returns `count` random numbers of mean 0 and variance 1, which the page adds to a line as noise.
/// They are the same on every machine.
#[wasm_bindgen(js_name = noiseField)]
#[must_use]
pub fn noise_field(count: usize) -> Vec<f32> {
    seeded::numbers([count, 1, 1, 0], 1.0).0
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let mut rows = logits.to_vec();
    for row in rows.chunks_exact_mut(Network::CLASSES) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        row.iter_mut().for_each(|x| *x = (*x - largest).exp());
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|x| *x /= sum);
    }
    rows
}
