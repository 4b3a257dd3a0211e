//! Generates values from the bytes of an input.

/// The unread bytes of an input. After the last one every byte reads as 0, so a short input gives a
/// simple case.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Bytes<'_> {
    pub(crate) fn byte(&mut self) -> u8 {
        match self.0 {
            [first, rest @ ..] => {
                self.0 = rest;
                *first
            }
            [] => 0,
        }
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn array<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    /// Returns one of `choices`.
    pub(crate) fn choice<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::from(self.byte()) % choices.len()]
    }

    /// Returns a number from 0 to `max`, which must be less than 256.
    pub(crate) fn up_to(&mut self, max: usize) -> usize {
        usize::from(self.byte()) % (max + 1)
    }

    /// Returns a size, usually below 24 and sometimes any value.
    pub(crate) fn size(&mut self) -> usize {
        match self.byte() {
            255 => usize::from_le_bytes(self.array()),
            254 => [
                usize::MAX,
                i32::MAX as usize,
                u32::MAX as usize,
                1 << 31,
                1 << 62,
            ][self.up_to(4)],
            253 => usize::from(u16::from_le_bytes(self.array())),
            small => usize::from(small) % 24,
        }
    }

    /// Returns an integer, usually from 0 to 23 and sometimes any value.
    pub(crate) fn int(&mut self) -> i32 {
        match self.byte() {
            255 => i32::from_le_bytes(self.array()),
            254 => self.choice(&[i32::MIN, i32::MAX, -1]),
            small => i32::from(small) % 24,
        }
    }

    /// Returns a number, usually in [-8, 8) and sometimes any bit pattern.
    pub(crate) fn float(&mut self) -> f32 {
        match self.byte() {
            255 => f32::from_le_bytes(self.array()),
            254 => self.choice(&[
                f32::NAN,
                f32::INFINITY,
                f32::NEG_INFINITY,
                f32::MAX,
                f32::MIN,
                f32::MIN_POSITIVE,
                1e-40,
                -0.0,
                1.0,
                1e30,
                -1e30,
            ]),
            253 => f32::NEG_INFINITY,
            small => (f32::from(small) - 127.0) / 16.0,
        }
    }

    pub(crate) fn many<T>(&mut self, count: usize, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..count).map(|_| one(self)).collect()
    }
}
