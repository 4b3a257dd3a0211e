//! The network that `model/train.py` trains: Input(50, 20) → Dense(123, relu) → LSTM(128) →
//! Dense(20).

use half::f16;

const DENSE: usize = 123;
const CELLS: usize = 128;

/// The weights of a linear map, one row per output.
#[derive(Debug)]
struct Matrix {
    inputs: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Adds the product of the matrix and `input` to `sums`.
    fn add(&self, input: &[f32], sums: &mut [f32]) {
        for (sum, row) in sums.iter_mut().zip(self.values.chunks_exact(self.inputs)) {
            *sum += row.iter().zip(input).map(|(w, x)| w * x).sum::<f32>();
        }
    }
}

/// The network with its weights.
#[derive(Debug)]
pub(super) struct Network {
    dense: Matrix,
    dense_bias: Vec<f32>,
    /// The gates in PyTorch's order: input, forget, cell, output.
    gates: Matrix,
    recurrent_gates: Matrix,
    gates_bias: Vec<f32>,
    out: Matrix,
    out_bias: Vec<f32>,
}

impl Network {
    pub(super) const CLASSES: usize = 20;

    /// Parses `weights.bin`, which contains f16, for frames of `height` pixels. Returns `None` if
    /// the size is wrong.
    pub(super) fn new(bytes: &[u8], height: usize) -> Option<Self> {
        let mut file = File(bytes);
        let network = Self {
            dense: file.matrix(DENSE, height)?,
            dense_bias: file.vector(DENSE)?,
            gates: file.matrix(4 * CELLS, DENSE)?,
            recurrent_gates: file.matrix(4 * CELLS, CELLS)?,
            gates_bias: file.vector(4 * CELLS)?,
            out: file.matrix(Self::CLASSES, CELLS)?,
            out_bias: file.vector(Self::CLASSES)?,
        };
        file.0.is_empty().then_some(network)
    }

    /// Returns the logits, `[frame, class]`; the blank is the last class.
    pub(super) fn logits(&self, line: &[f32]) -> Vec<f32> {
        let (mut hidden, mut cell) = ([0.0; CELLS], [0.0; CELLS]);
        let mut logits = Vec::new();
        for frame in line.chunks_exact(self.dense.inputs) {
            let mut dense = self.dense_bias.clone();
            self.dense.add(frame, &mut dense);
            dense.iter_mut().for_each(|x| *x = x.max(0.0));

            let mut gates = self.gates_bias.clone();
            self.gates.add(&dense, &mut gates);
            self.recurrent_gates.add(&hidden, &mut gates);
            for k in 0..CELLS {
                let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| gates[gate * CELLS + k]);
                cell[k] = sigmoid(forget) * cell[k] + sigmoid(input) * new.tanh();
                hidden[k] = sigmoid(output) * cell[k].tanh();
            }

            let mut row = self.out_bias.clone();
            self.out.add(&hidden, &mut row);
            logits.extend(row);
        }
        logits
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The unread rest of a file of little-endian f16.
struct File<'a>(&'a [u8]);

impl File<'_> {
    fn vector(&mut self, count: usize) -> Option<Vec<f32>> {
        let (bytes, rest) = self.0.split_at_checked(2 * count)?;
        self.0 = rest;
        let numbers = bytes.chunks_exact(2);
        Some(
            numbers
                .map(|pair| f16::from_le_bytes([pair[0], pair[1]]).to_f32())
                .collect(),
        )
    }

    fn matrix(&mut self, rows: usize, inputs: usize) -> Option<Matrix> {
        let values = self.vector(rows * inputs)?;
        Some(Matrix { inputs, values })
    }
}
