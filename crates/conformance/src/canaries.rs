//! Buffers on a device in which canaries surround each array: words that must not change.

use std::num::NonZeroU64;

use super::device::Gpu;

/// The number of canaries before an array: 256 bytes, the largest alignment of offsets that WebGPU
/// allows, so that every array starts at a valid offset.
const GUARD: usize = 64;

/// The range of an array in a buffer.
#[derive(Debug, Clone, Copy)]
pub(super) struct ArrayRange {
    buffer: usize,
    start: usize,
    words: usize,
}

/// Collects arrays, and the canaries around them, into the contents of buffers.
pub(super) struct BufferBuilder {
    one_buffer: bool,
    buffers: Vec<Vec<u32>>,
}

impl BufferBuilder {
    /// Places all arrays in one buffer, or each in a buffer of its own.
    pub(super) fn new(one_buffer: bool) -> Self {
        Self {
            one_buffer,
            buffers: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, array: &[u32]) -> ArrayRange {
        if !self.one_buffer || self.buffers.is_empty() {
            self.buffers.push(Vec::new());
        }
        let buffer = self.buffers.len() - 1;
        let words = &mut self.buffers[buffer];
        canaries(words, GUARD);
        let start = words.len();
        words.extend(array);
        // At least one canary follows the array, up to the next aligned offset.
        let past = 1 + (GUARD - 1 - words.len() % GUARD);
        canaries(words, past);
        ArrayRange {
            buffer,
            start,
            words: array.len(),
        }
    }

    pub(super) fn integers(&mut self, array: &[i32]) -> ArrayRange {
        self.add(bytemuck::cast_slice(array))
    }

    pub(super) fn on(self, gpu: &Gpu) -> CanaryBuffers {
        let buffers = self.buffers.iter().map(|words| gpu.buffer(words)).collect();
        CanaryBuffers {
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

/// The buffers, and their contents before any work.
#[derive(Debug)]
pub(super) struct CanaryBuffers {
    buffers: Vec<wgpu::Buffer>,
    before: Vec<Vec<u32>>,
}

impl CanaryBuffers {
    pub(super) fn binding(&self, array: ArrayRange) -> wgpu::BufferBinding<'_> {
        wgpu::BufferBinding {
            buffer: &self.buffers[array.buffer],
            offset: array.start as u64 * 4,
            size: NonZeroU64::new(array.words.max(1) as u64 * 4),
        }
    }

    /// Returns the words of the `written` arrays, after a check that all other words, inputs and
    /// canaries, are unchanged.
    pub(super) fn words(&self, gpu: &Gpu, written: &[ArrayRange]) -> Result<Vec<Vec<u32>>, String> {
        let after: Result<Vec<_>, _> = self.buffers.iter().map(|b| gpu.read(b)).collect();
        let after = after?;
        let range = |array: &ArrayRange| array.start..array.start + array.words;
        let mut expected = self.before.clone();
        for array in written {
            let range = range(array);
            expected[array.buffer][range.clone()].copy_from_slice(&after[array.buffer][range]);
        }
        for (buffer, (expected, after)) in expected.iter().zip(&after).enumerate() {
            if let Some(at) = expected.iter().zip(after).position(|(a, b)| a != b) {
                return Err(format!(
                    "word {at} of buffer {buffer} changed from {:#x} to {:#x}: it is not part of an output",
                    expected[at], after[at]
                ));
            }
        }
        let words = |array: &ArrayRange| after[array.buffer][range(array)].to_vec();
        Ok(written.iter().map(words).collect())
    }
}
