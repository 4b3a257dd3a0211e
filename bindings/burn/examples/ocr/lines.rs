//! Images of lines of text, drawn on the fly.

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The characters, in the order of their classes; the blank is the last class.
const ALPHABET: &[u8; 19] = b"0123456789ABCDEFGHK";
pub const BLANK: usize = ALPHABET.len();
/// The label that pads the rows of labels.
pub const PADDING: usize = BLANK;
/// The number of columns of a line. One column is one frame.
pub const FRAMES: usize = 50;
/// The number of rows of a line.
pub const HEIGHT: usize = 20;
/// The maximum number of characters of a line.
pub const MAX_LENGTH: usize = 6;

/// DejaVu Sans Mono in three faces, [face, character, row, column]. Its licence is in the same
/// folder.
const GLYPHS: &[u8] = include_bytes!("../../../web/model/glyphs.bin");
const FACES: usize = 3;
const WIDTH: usize = 8;
/// The offset of the pixels, after four bytes with the numbers of faces, characters, rows and
/// columns.
const PIXELS: usize = 4;

/// An image `[FRAMES, HEIGHT]` of values from 0 to 1, and the classes of its characters.
#[derive(Debug, Clone)]
pub struct Line {
    pub pixels: Vec<f32>,
    pub classes: Vec<usize>,
}

pub fn text(classes: &[usize]) -> String {
    classes
        .iter()
        .map(|class| ALPHABET[*class] as char)
        .collect()
}

impl Line {
    /// Draws the line of a seed. `hard` is the probability that it has jitter, spacing, contrast
    /// and noise.
    fn new(seed: u64, hard: f32) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.below(2); // The first numbers of consecutive seeds are similar.
        let length = 1 + random.below(MAX_LENGTH);
        let classes: Vec<_> = (0..length).map(|_| random.below(ALPHABET.len())).collect();
        let face = random.below(FACES);
        let hard = random.unit() < hard;
        let width = length * WIDTH;
        let spacing = match hard {
            true => random.below(4.min((FRAMES - width) / (length - 1).max(1)) + 1),
            false => 0,
        };
        let free = FRAMES - width - (length - 1) * spacing;
        let start = if hard {
            random.below(free + 1)
        } else {
            free / 2
        };
        let mut pixels = vec![0.0; FRAMES * HEIGHT];
        for (position, class) in classes.iter().enumerate() {
            let glyph = PIXELS + (face * ALPHABET.len() + class) * HEIGHT * WIDTH;
            for x in 0..WIDTH {
                let frame = start + position * (WIDTH + spacing) + x;
                for y in 0..HEIGHT {
                    pixels[frame * HEIGHT + y] = f32::from(GLYPHS[glyph + y * WIDTH + x]) / 255.0;
                }
            }
        }
        if hard {
            let (contrast, noise) = (0.7 + 0.3 * random.unit(), 0.25 * random.unit());
            for pixel in &mut pixels {
                *pixel = (*pixel * contrast + noise * random.normal()).clamp(0.0, 1.0);
            }
        }
        Self { pixels, classes }
    }

    /// Returns the image as text.
    pub fn picture(&self) -> String {
        let shade = |pixel: f32| [' ', '·', '+', '#'][(pixel * 3.99) as usize % 4];
        let row = |y: usize| (0..FRAMES).map(move |x| shade(self.pixels[x * HEIGHT + y]));
        (4..HEIGHT - 3)
            .map(|y| row(y).collect::<String>() + "\n")
            .collect()
    }
}

/// A data set of lines.
pub struct Lines {
    seeds: u64,
    length: usize,
    /// For training: the number of lines drawn so far, and in total. Each line is new, and later
    /// lines are harder.
    progress: Option<(AtomicUsize, usize)>,
}

impl Lines {
    /// Returns training data: `length` new lines per epoch, `total` lines in all epochs.
    pub fn fresh(length: usize, total: usize) -> Self {
        let progress = Some((AtomicUsize::new(0), total));
        Self {
            seeds: 0,
            length,
            progress,
        }
    }

    /// Returns validation data: the same lines in every epoch.
    pub fn validation(length: usize) -> Self {
        Self {
            seeds: 1 << 40,
            length,
            progress: None,
        }
    }

    /// Returns test data, for after the training.
    pub fn held_out(length: usize) -> Self {
        Self {
            seeds: 1 << 41,
            length,
            progress: None,
        }
    }

    pub fn line(&self, index: usize) -> Line {
        let Some((drawn, total)) = &self.progress else {
            return Line::new(self.seeds + index as u64, 1.0);
        };
        let number = drawn.fetch_add(1, Ordering::Relaxed);
        // Plain lines first: if all lines are hard from the beginning, the network learns to guess
        // the first character and never improves.
        let hard = (number as f32 / *total as f32 - 0.15) / 0.25;
        Line::new(self.seeds + number as u64, hard)
    }
}

impl Dataset<Line> for Lines {
    fn get(&self, index: usize) -> Result<Line, DatasetError> {
        Ok(self.line(index))
    }

    fn len(&self) -> usize {
        self.length
    }
}

/// A batch for the network.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[N, FRAMES, HEIGHT]`
    pub images: Tensor<3>,
    /// `[N, MAX_LENGTH]`
    pub labels: Tensor<2, Int>,
    /// `[N]`
    pub label_lengths: Tensor<1, Int>,
}

/// Makes batches of lines.
#[derive(Debug, Clone)]
pub struct Batches;

impl Batches {
    pub fn images(&self, lines: &[Line], device: &Device) -> Tensor<3> {
        let pixels: Vec<f32> = lines.iter().flat_map(|line| line.pixels.clone()).collect();
        Tensor::from_data(
            TensorData::new(pixels, [lines.len(), FRAMES, HEIGHT]),
            device,
        )
    }
}

impl Batcher<Line, Batch> for Batches {
    fn batch(&self, lines: Vec<Line>, device: &Device) -> Batch {
        let labels = lines.iter().flat_map(|line| {
            let padding = std::iter::repeat_n(PADDING, MAX_LENGTH - line.classes.len());
            line.classes.iter().copied().chain(padding)
        });
        let labels: Vec<i32> = labels.map(|class| class as i32).collect();
        let lengths: Vec<i32> = lines.iter().map(|line| line.classes.len() as i32).collect();
        Batch {
            images: self.images(&lines, device),
            labels: Tensor::from_data(TensorData::new(labels, [lines.len(), MAX_LENGTH]), device),
            label_lengths: Tensor::from_data(lengths.as_slice(), device),
        }
    }
}

/// Knuth's 64-bit linear congruential generator (MMIX), of which the upper bits are used.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn below(&mut self, bound: usize) -> usize {
        self.next() as usize % bound
    }

    fn unit(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 31) as f32
    }

    /// Returns the sum of twelve uniform numbers, minus 6: nearly normal, with variance 1.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}
