//! Forks: in a child, each call succeeds or returns an error, and none waits for a thread of the
//! parent. A binary of its own, so that the parent has few other threads; `bindings/c/tests/fork.c`
//! tests the same in C.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a test that panics has failed, and its numbers are small"
)]

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use ctc_wgpu::decode::{self, BeamOptions};
use ctc_wgpu::{Batch, BatchShape, CacheLimits, Ctc, Error, GpuCtc, LossAndGradOutput, Options};

const DIMS: [usize; 3] = [8, 200, 20];
const LABELS: usize = 20;

/// The seconds after which a signal ends a child that hangs.
const TIMEOUT_SECONDS: u32 = 120;

/// Runs `child` in a forked process, which must end without a panic.
#[allow(unsafe_code, reason = "fork has no safe form; justified at the call")]
fn in_child(name: &str, child: impl FnOnce()) {
    // SAFETY: after a fork of a process with several threads, the child must not wait for locks
    // that other threads held. The tests check exactly this, and an alarm ends a child that waits.
    // It ends by `_exit`, so that none of the parent's destructors run.
    unsafe {
        let pid = libc::fork();
        assert!(pid >= 0, "could not fork for {name}");
        if pid == 0 {
            libc::alarm(TIMEOUT_SECONDS);
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child));
            if let Err(panic) = &result {
                let text = panic
                    .downcast_ref::<String>()
                    .map_or("a panic", String::as_str);
                // Not with `eprintln!`, whose output the parent's test harness would capture.
                let _ = writeln!(std::io::stderr(), "{name}: {text}");
            }
            libc::_exit(i32::from(result.is_err()));
        }
        let mut status = 0;
        assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
        assert_eq!(
            status, 0,
            "{name}: the child panicked or hung (SIGALRM is 14)"
        );
    }
    println!("{name}: ok");
}

struct Data {
    logits: Vec<f32>,
    labels: Vec<i32>,
    lengths: Vec<i32>,
}

impl Data {
    fn new() -> Self {
        let [items, frames, classes] = DIMS;
        Self {
            logits: (0..items * frames * classes)
                .map(|i| (i * 7 % 13) as f32 / 5.0)
                .collect(),
            labels: (1..)
                .take(LABELS - 1)
                .cycle()
                .take(items * LABELS)
                .collect(),
            lengths: (1..).take(items).collect(),
        }
    }

    fn batch(&self) -> Batch<'_> {
        Batch::new(DIMS, &self.logits).labels(&self.labels, &self.lengths)
    }

    fn output(&self, ctc: &Ctc) -> Result<LossAndGradOutput, Error> {
        ctc.loss_and_grad(&self.batch(), &Options::default())
    }
}

/// Calls `fork` ten times while three threads compute.
fn while_busy(ctc: &Ctc, data: &Data, fork: impl Fn()) {
    let expected = data.output(ctc).unwrap();
    let busy = AtomicBool::new(true);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while busy.load(Ordering::Relaxed) {
                    assert_eq!(data.output(ctc).unwrap(), expected);
                }
            });
        }
        for _ in 0..10 {
            fork();
        }
        busy.store(false, Ordering::Relaxed);
    });
}

/// Checks that a call returned [`Error::Forked`].
fn rejected<T>(result: Result<T, Error>) {
    match result {
        Err(Error::Forked(_)) => {}
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("the parent's device was used"),
    }
}

#[test]
fn a_child_can_compute_on_the_cpu_with_its_parents_context_and_with_its_own() {
    let data = &Data::new();
    let ctc = Ctc::cpu();
    let options = Options::default();
    let expected = data.output(&ctc).unwrap();
    let works = || {
        assert_eq!(data.output(&ctc).unwrap(), expected);
        assert_eq!(data.output(&Ctc::cpu()).unwrap(), expected);
        ctc.set_cache_limits(CacheLimits::default().shapes(0));
        assert_eq!(ctc.cached_bytes(), Some(0));
        decode::align(&data.batch(), &options).unwrap();
        decode::greedy(&data.batch(), &options).unwrap();
        decode::beam(&data.batch(), &options, &BeamOptions::default()).unwrap();
    };
    in_child("the CPU in a child", works);
    in_child("the CPU, two forks deep", || {
        works();
        in_child("  in the grandchild", works);
        works();
    });
    in_child("the CPU in a pool of the child's", || {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build();
        pool.unwrap().install(works);
    });
    while_busy(&ctc, data, || {
        in_child("the CPU in a child of a busy process", works);
    });
}

#[test]
fn a_child_cannot_use_its_parents_gpu_context_but_can_create_its_own() {
    let data = &Data::new();
    let ctc = Ctc::gpu().unwrap();
    println!("on {}", ctc.backend());
    let expected = data.output(&ctc).unwrap();
    let (device, queue) = pollster::block_on(async {
        let adapter = ctc_wgpu::adapters().remove(0);
        adapter
            .request_device(&wgpu::DeviceDescriptor::default())
            .await
    })
    .unwrap();
    let own = GpuCtc::new(&device, &queue).unwrap();
    let shape = BatchShape::new(2, 10, 5, 3);
    let plan = own.plan(&shape, &Options::default()).unwrap();
    let options = Options::default();
    let inherited = || {
        let batch = data.batch();
        rejected(data.output(&ctc));
        rejected(ctc.loss(&batch, &options));
        rejected(ctc.align(&batch, &options));
        rejected(ctc.greedy(&batch, &options));
        rejected(ctc.occupancies(&batch, &options));
        rejected(pollster::block_on(ctc.loss_async(&batch, &options)));
        rejected(own.plan(&shape, &options));
        let limits = *ctc.limits().unwrap();
        let limited = ctc.with_limits(&limits).unwrap();
        rejected(data.output(&limited));
        drop(limited);
        ctc.set_cache_limits(CacheLimits::default().pipelines(0).shapes(0));
    };
    let created_here = || assert_eq!(data.output(&Ctc::gpu().unwrap()).unwrap(), expected);
    in_child("a GPU's context in a child", inherited);
    in_child("a GPU's context that is created in a child", created_here);
    in_child("a GPU, two forks deep", || {
        inherited();
        created_here();
        in_child("  in the grandchild", || {
            inherited();
            created_here();
        });
        created_here();
    });
    // Dropping the parent's contexts does not wait.
    let mut held = Some((Ctc::gpu().unwrap(), own.clone()));
    data.output(&held.as_ref().unwrap().0).unwrap();
    in_child("a GPU's context dropped in a child", || drop(held.take()));
    while_busy(&ctc, data, || {
        in_child("a GPU in a child of a busy process", || {
            inherited();
            match Ctc::gpu() {
                Ok(ctc) => assert_eq!(data.output(&ctc).unwrap(), expected),
                Err(error) => rejected::<()>(Err(error)),
            }
            // The CPU backend works in any case.
            data.output(&Ctc::cpu()).unwrap();
        });
    });
    drop(plan);
    assert_eq!(data.output(&ctc).unwrap(), expected);
}
