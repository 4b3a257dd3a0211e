//! Calls behind seconds of other work on the device: they wait for their results without using the
//! processor.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use ctc_wgpu::{Ctc, Error, LossAndGradOutput};

use super::foreign_work::ForeignWork;
use super::{batches, options};
use crate::support::device::{Gpu, on_each_device};

/// The time of the other work: longer than 2^31 ns = 2.1 s, after which GL ends every wait.
const BUSY: Duration = Duration::from_secs(3);

/// The time after which a call fails: far longer than [`BUSY`].
const TIMEOUT: Duration = Duration::from_secs(120);

/// Runs `call` on a busy device, checks its result, and returns the elapsed time. Panics if the
/// device was not busy.
fn behind_a_queue(
    gpu: &Gpu,
    call: impl Fn(&Ctc) -> Result<LossAndGradOutput, Error> + Clone + Send + 'static,
) -> Duration {
    // The other work is sized by a measurement. If the machine was busier then, the work is too
    // short.
    for busy in [1, 4, 16].map(|factor| factor * BUSY) {
        let took = behind(gpu, busy, call.clone());
        if took > BUSY / 4 {
            return took;
        }
    }
    panic!("the device was not busy");
}

/// Keeps the device busy for about `busy`, runs `call`, checks its result, and returns the elapsed
/// time.
fn behind(
    gpu: &Gpu,
    busy: Duration,
    call: impl FnOnce(&Ctc) -> Result<LossAndGradOutput, Error> + Send + 'static,
) -> Duration {
    // Two measurements at the same time would affect each other.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let ctc = Ctc::on_device(&gpu.device, &gpu.queue).unwrap();
    let batch = &batches()[0];
    let expected = ctc.loss_and_grad(&batch.batch(), &options()).unwrap();
    let foreign = ForeignWork::new(gpu);
    foreign.keep_busy(gpu, busy);
    let start = Instant::now();
    let (sender, output) = mpsc::channel();
    // In a thread, so that the test fails if the call waits forever.
    std::thread::spawn(move || {
        let got = call(&ctc);
        // The device is dropped before the test can end: if the program ended earlier, its driver
        // would be unloaded while in use.
        drop(ctc);
        sender.send(got)
    });
    let got = output
        .recv_timeout(TIMEOUT)
        .expect("the call did not return");
    let took = start.elapsed();
    assert_eq!(got.unwrap(), expected);
    foreign.check(gpu);
    println!("{}: {took:.1?}", gpu.name);
    took
}

/// Returns the processor time of the calling thread, which only Linux reports without C code.
fn processor_time() -> Option<Duration> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().next().unwrap();
    Some(Duration::from_nanos(nanoseconds.parse().unwrap()))
}

#[test]
fn a_call_behind_seconds_of_other_work_waits_without_using_the_processor() {
    on_each_device(|gpu| {
        let (sender, used) = mpsc::channel();
        let took = behind_a_queue(gpu, move |ctc| {
            let before = processor_time();
            let output = ctc.loss_and_grad(&batches()[0].batch(), &options());
            let after = processor_time();
            sender
                .send(after.zip(before).map(|(after, before)| after - before))
                .unwrap();
            output
        });
        if let Some(used) = used.try_iter().last().unwrap() {
            assert!(
                used < took / 4,
                "{used:?} of {took:?} were used on the processor"
            );
        }
    });
}

/// A waker that counts its wake-ups and unparks a thread.
struct CountingWaker {
    thread: std::thread::Thread,
    wakes: AtomicUsize,
}

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.wakes.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

#[test]
fn an_awaited_call_behind_seconds_of_other_work_is_woken_once_per_result() {
    on_each_device(|gpu| {
        behind_a_queue(gpu, |ctc| {
            let counting = Arc::new(CountingWaker {
                thread: std::thread::current(),
                wakes: AtomicUsize::new(0),
            });
            let waker = Waker::from(Arc::clone(&counting));
            let (batches, options) = (batches(), options());
            let batch = batches[0].batch();
            let mut output = std::pin::pin!(ctc.loss_and_grad_async(&batch, &options));
            loop {
                if let Poll::Ready(output) = output.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    // Woken when the buffer of the losses is mapped, when that of the gradient is,
                    // and by the thread that polls for both.
                    let wakes = counting.wakes.load(Ordering::SeqCst);
                    assert!((1..=3).contains(&wakes), "woken {wakes} times");
                    break output;
                }
                std::thread::park();
            }
        });
    });
}
