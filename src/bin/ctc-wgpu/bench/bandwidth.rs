//! How fast the machine copies, timed as the loss is: what a loss that only moved its data would reach.

use std::time::Instant;

use ctc_wgpu::Error;
use rayon::prelude::*;
use wgpu::BufferUsages;

use super::measure::Times;
use super::resident::Gpu;
use super::stamps::Stamps;
use super::subject::Subject;

/// Larger than any cache.
const BYTES: u64 = 256 << 20;

/// Bytes read and written a second.
pub(crate) fn of(subject: &Subject) -> Result<f64, String> {
    let (bytes, times) = match subject {
        Subject::Gpu { gpu, stamps, .. } => {
            let bytes = BYTES.min(gpu.device.limits().max_buffer_size);
            let times = on_device(gpu, stamps.as_ref(), bytes).map_err(|e| e.to_string())?;
            (bytes, times)
        }
        Subject::Cpu { pool, .. } => (BYTES, pool.install(on_host)),
    };
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let moved = 2.0 * bytes as f64;
    Ok(moved / times.median().as_secs_f64())
}

fn on_device(gpu: &Gpu, stamps: Option<&Stamps>, bytes: u64) -> Result<Times, Error> {
    let from = gpu.buffer(bytes, BufferUsages::COPY_SRC | BufferUsages::COPY_DST);
    let to = gpu.buffer(bytes, BufferUsages::COPY_DST);
    let copy = |encoder: &mut wgpu::CommandEncoder| {
        encoder.copy_buffer_to_buffer(&from, 0, &to, 0, bytes);
        Ok(())
    };
    Times::take(|| match stamps {
        Some(stamps) => stamps.time(gpu, copy),
        None => {
            let start = Instant::now();
            gpu.run(copy).map(|()| start.elapsed())
        }
    })
}

/// On all threads of the current pool.
fn on_host() -> Times {
    let words = usize::try_from(BYTES / 8).unwrap_or(0);
    let (from, mut to) = (vec![1_u64; words], vec![0_u64; words]);
    let piece = words.div_ceil(rayon::current_num_threads());
    let times = Times::take(|| {
        let start = Instant::now();
        to.par_chunks_mut(piece)
            .zip(from.par_chunks(piece))
            .for_each(|(to, from)| to.copy_from_slice(from));
        std::hint::black_box(&to);
        Ok::<_, std::convert::Infallible>(start.elapsed())
    });
    match times {
        Ok(times) => times,
        Err(never) => match never {},
    }
}
