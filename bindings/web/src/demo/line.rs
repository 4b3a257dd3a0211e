//! Draws a line of text as an image for the network, in the same way as `model/train.py` draws the
//! training data.

/// The characters of the network, in the order of its classes; the blank is the last class.
pub(super) const ALPHABET: &str = "0123456789ABCDEFGHK";

/// The number of columns of a line. One column is one frame.
pub(super) const FRAMES: usize = 50;

/// The pixels of the characters, in several faces.
#[derive(Debug)]
pub(super) struct Glyphs {
    pub(super) faces: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// `[face, character, row, column]`
    pixels: Vec<u8>,
}

/// Returns the class of a character, or `None` if the alphabet does not contain it.
pub(super) fn class(character: char) -> Option<usize> {
    ALPHABET.chars().position(|known| known == character)
}

impl Glyphs {
    /// Parses `glyphs.bin`: four bytes with the numbers of faces, characters, rows and columns,
    /// then the pixels. Returns `None` if the size is wrong.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let (header, pixels) = bytes.split_first_chunk::<4>()?;
        let [faces, characters, height, width] = header.map(usize::from);
        let valid = characters == ALPHABET.len() && height > 0 && width > 0;
        (valid && pixels.len() == faces * characters * height * width).then(|| Self {
            faces,
            height,
            width,
            pixels: pixels.to_vec(),
        })
    }

    /// Draws a centred line: `[frame, row]`, values from 0 to 1.
    ///
    /// # Errors
    /// A message for the user, if the alphabet does not contain a character or the line is too
    /// long.
    pub(super) fn draw(&self, text: &str, face: usize, spacing: usize) -> Result<Vec<f32>, String> {
        if face >= self.faces {
            return Err(format!(
                "face {face} is out of range: expected 0 to {}",
                self.faces.saturating_sub(1)
            ));
        }
        let classes: Vec<usize> = text
            .chars()
            .map(|c| class(c).ok_or_else(|| format!("“{c}” is not among {ALPHABET}")))
            .collect::<Result<_, _>>()?;
        let columns =
            classes.len() * self.width + classes.len().saturating_sub(1).saturating_mul(spacing);
        let Some(free) = FRAMES.checked_sub(columns) else {
            return Err(format!(
                "{} characters take {columns} columns of {FRAMES}: use fewer, or less spacing",
                classes.len()
            ));
        };
        let mut line = vec![0.0; FRAMES * self.height];
        for (position, class) in classes.into_iter().enumerate() {
            let start = free / 2 + position * (self.width + spacing);
            self.paste(face, class, &mut line[start * self.height..]);
        }
        Ok(line)
    }

    fn paste(&self, face: usize, class: usize, columns: &mut [f32]) {
        let size = self.height * self.width;
        let begin = (face * ALPHABET.len() + class) * size;
        let pixels = &self.pixels[begin..begin + size];
        for (x, column) in columns
            .chunks_exact_mut(self.height)
            .take(self.width)
            .enumerate()
        {
            for (y, pixel) in column.iter_mut().enumerate() {
                *pixel = f32::from(pixels[y * self.width + x]) / 255.0;
            }
        }
    }
}
