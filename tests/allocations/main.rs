//! The CPU backend allocates nothing for a repeated shape. This test is a binary of its own, since
//! its allocator counts the allocations of all threads.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use ctc_wgpu::{Batch, Ctc, LossAndGradOutput, LossOutput, Options};

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

#[allow(unsafe_code, reason = "an allocator is unsafe; this one only counts")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn a_repeated_shape_allocates_nothing_on_the_cpu_backend() {
    const ITEMS: usize = 9;
    let logits: Vec<f32> = (0..ITEMS * 40 * 20).map(|i| (i % 13) as f32).collect();
    let padded: Vec<i32> = (0..10 * 9).map(|i| 1 + i % 7).collect();
    let lengths = [10, 3, 0, 7, 10, 1, 2, 9, 10];
    let batches = [
        Batch::new([ITEMS, 40, 20], &logits).labels(&padded, &lengths),
        Batch::time_major([40, ITEMS, 20], &logits)
            .labels_concatenated(&padded[..52], &lengths)
            .logit_lengths(&[40, 39, 0, 20, 11, 40, 2, 33, 40]),
    ];
    let (ctc, options) = (Ctc::cpu(), Options::pytorch());
    let mut output = LossAndGradOutput::default();
    let mut losses = LossOutput::default();
    // A call from outside of the pool makes rayon allocate for its own queue.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
    pool.unwrap().install(|| {
        let mut run = || {
            for batch in &batches {
                ctc.loss_and_grad_into(batch, &options, &mut output)
                    .unwrap();
                ctc.loss_into(batch, &options, &mut losses).unwrap();
            }
        };
        // Tables grow until each thread has processed the largest item, and the assignment of items
        // to threads varies.
        let mut round_allocates = || {
            let before = ALLOCATIONS.load(Ordering::Relaxed);
            for _ in 0..100 {
                run();
            }
            ALLOCATIONS.load(Ordering::Relaxed) > before
        };
        let settled = (0..20).any(|_| !round_allocates());
        assert!(settled, "allocations in each of 20 rounds of 100 calls");
    });
}
