//! Lines of text, drawn as they are asked for.

use std::sync::atomic::{AtomicUsize, Ordering};

use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::{Dataset, DatasetError};
use burn::tensor::{Device, Int, Tensor, TensorData};

/// The characters, each the class of its place; the blank comes after them.
const ALPHABET: &[u8; 19] = b"0123456789ABCDEFGHK";
pub const BLANK: usize = ALPHABET.len();
/// What fills rows of labels up.
pub const PADDING: usize = BLANK;
/// Columns of a line, each a frame, and its rows.
pub const FRAMES: usize = 50;
pub const HEIGHT: usize = 20;
pub const MOST: usize = 6;

/// DejaVu Sans Mono in three faces, [face, character, row, column]; its licence lies beside it.
const GLYPHS: &[u8] = include_bytes!("../../../web/model/glyphs.bin");
const FACES: usize = 3;
const WIDTH: usize = 8;
/// Four bytes come first, which say the three numbers and that of the characters.
const PIXELS: usize = 4;

/// An image `[FRAMES, HEIGHT]` from 0 to 1, and what it says.
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
    /// Every line has its seed. `hard` is the share of lines with jitter, spacing, contrast and noise; others are plain.
    fn new(seed: u64, hard: f32) -> Self {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        random.below(2); // The first numbers of seeds in a row are alike.
        let length = 1 + random.below(MOST);
        let classes: Vec<_> = (0..length).map(|_| random.below(ALPHABET.len())).collect();
        let face = random.below(FACES);
        let hard = random.unit() < hard;
        let least = length * WIDTH;
        let spacing = match hard {
            true => random.below(4.min((FRAMES - least) / (length - 1).max(1)) + 1),
            false => 0,
        };
        let free = FRAMES - least - (length - 1) * spacing;
        let start = if hard {
            random.below(free + 1)
        } else {
            free / 2
        };
        let mut pixels = vec![0.0; FRAMES * HEIGHT];
        for (place, class) in classes.iter().enumerate() {
            let glyph = PIXELS + (face * ALPHABET.len() + class) * HEIGHT * WIDTH;
            for x in 0..WIDTH {
                let frame = start + place * (WIDTH + spacing) + x;
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

    /// The image in characters.
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
    /// Of a training: how many lines were drawn, and how many will be. Each is new, and they grow harder.
    drawn: Option<(AtomicUsize, usize)>,
}

impl Lines {
    /// `length` lines an epoch, never the same, `total` in all.
    pub fn fresh(length: usize, total: usize) -> Self {
        let drawn = Some((AtomicUsize::new(0), total));
        Self {
            seeds: 0,
            length,
            drawn,
        }
    }

    /// The same in every epoch.
    pub fn validation(length: usize) -> Self {
        Self {
            seeds: 1 << 40,
            length,
            drawn: None,
        }
    }

    /// For after the training.
    pub fn held_out(length: usize) -> Self {
        Self {
            seeds: 1 << 41,
            length,
            drawn: None,
        }
    }

    pub fn line(&self, index: usize) -> Line {
        let Some((drawn, total)) = &self.drawn else {
            return Line::new(self.seeds + index as u64, 1.0);
        };
        let number = drawn.fetch_add(1, Ordering::Relaxed);
        // Plain lines first: all at once, the network learns to guess the first character and never unlearns it.
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

/// What the network trains on.
#[derive(Debug, Clone)]
pub struct Batch {
    /// `[N, FRAMES, HEIGHT]`
    pub images: Tensor<3>,
    /// `[N, MOST]`
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
            let padding = std::iter::repeat_n(PADDING, MOST - line.classes.len());
            line.classes.iter().copied().chain(padding)
        });
        let labels: Vec<i32> = labels.map(|class| class as i32).collect();
        let lengths: Vec<i32> = lines.iter().map(|line| line.classes.len() as i32).collect();
        Batch {
            images: self.images(&lines, device),
            labels: Tensor::from_data(TensorData::new(labels, [lines.len(), MOST]), device),
            label_lengths: Tensor::from_data(lengths.as_slice(), device),
        }
    }
}

/// Knuth's generator of 64 bits, whose upper half is used.
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

    /// The sum of twelve uniform numbers is nearly normal, with variance 1.
    fn normal(&mut self) -> f32 {
        (0..12).map(|_| self.unit()).sum::<f32>() - 6.0
    }
}
