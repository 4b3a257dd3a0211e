//! Arrays in buffers on a device, among canaries.

use std::num::NonZeroU64;

use super::device::Gpu;

/// Words between two ranges: the largest offset alignment that WebGPU allows, so that any range may begin after them.
const GUARD: usize = 64;

/// Where an array lies.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    buffer: usize,
    start: usize,
    words: usize,
}

/// The words of buffers to be, an array after the other.
pub(super) struct Layer {
    together: bool,
    buffers: Vec<Vec<u32>>,
}

impl Layer {
    /// All arrays in one buffer, or each in one of its own.
    pub(super) fn new(together: bool) -> Self {
        Self {
            together,
            buffers: Vec::new(),
        }
    }

    pub(super) fn place(&mut self, array: &[u32]) -> Place {
        if !self.together || self.buffers.is_empty() {
            self.buffers.push(Vec::new());
        }
        let buffer = self.buffers.len() - 1;
        let words = &mut self.buffers[buffer];
        canaries(words, GUARD);
        let start = words.len();
        words.extend(array);
        // At least one word past the end, and on to the next aligned offset.
        let past = 1 + (GUARD - 1 - words.len() % GUARD);
        canaries(words, past);
        Place {
            buffer,
            start,
            words: array.len(),
        }
    }

    pub(super) fn integers(&mut self, array: &[i32]) -> Place {
        self.place(bytemuck::cast_slice(array))
    }

    pub(super) fn on(self, gpu: &Gpu) -> Laid {
        let buffers = self.buffers.iter().map(|words| gpu.buffer(words)).collect();
        Laid {
            buffers,
            before: self.buffers,
        }
    }
}

fn canaries(words: &mut Vec<u32>, count: usize) {
    for _ in 0..count {
        words.push(0xCA9A_0000 ^ words.len() as u32);
    }
}

/// The buffers, and what was in them.
#[derive(Debug)]
pub(super) struct Laid {
    buffers: Vec<wgpu::Buffer>,
    before: Vec<Vec<u32>>,
}

impl Laid {
    pub(super) fn binding(&self, place: Place) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffers[place.buffer],
            offset: place.start as u64 * 4,
            size: NonZeroU64::new(place.words.max(1) as u64 * 4),
        }
    }

    /// The words of what was written, after a check that nothing else was: neither an input, nor a canary.
    pub(super) fn words(&self, gpu: &Gpu, written: &[Place]) -> Result<Vec<Vec<u32>>, String> {
        let after: Result<Vec<_>, _> = self.buffers.iter().map(|b| gpu.read(b)).collect();
        let after = after?;
        let range = |place: &Place| place.start..place.start + place.words;
        let mut expected = self.before.clone();
        for place in written {
            let range = range(place);
            expected[place.buffer][range.clone()].copy_from_slice(&after[place.buffer][range]);
        }
        for (buffer, (expected, after)) in expected.iter().zip(&after).enumerate() {
            if let Some(at) = expected.iter().zip(after).position(|(a, b)| a != b) {
                return Err(format!(
                    "word {at} of buffer {buffer} was {:#x} and is {:#x}: nobody may write there",
                    expected[at], after[at]
                ));
            }
        }
        let words = |place: &Place| after[place.buffer][range(place)].to_vec();
        Ok(written.iter().map(words).collect())
    }
}
