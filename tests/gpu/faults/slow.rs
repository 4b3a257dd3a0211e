//! A device that has seconds of others' work before ours: the wait is as long as it takes, and costs no processor.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use ctc_wgpu::{Ctc, Error, LossAndGradOutput};

use super::foreign_work::Stranger;
use super::{batches, options};
use crate::support::device::{Gpu, on_each_device};

/// GL gives up a wait after 2^31 ns = 2.1 s, whatever it was asked for.
const BUSY: Duration = Duration::from_secs(3);

/// Longer than any machine takes for what took it three seconds a moment ago.
const PATIENCE: Duration = Duration::from_secs(120);

/// What `call` gives on a device that is kept busy before, within our patience, and how long it took: longer than what a
/// device takes that is not busy.
fn behind_a_queue(
    gpu: &Gpu,
    call: impl Fn(&Ctc) -> Result<LossAndGradOutput, Error> + Clone + Send + 'static,
) -> Duration {
    // How long the others' work takes is known from a machine that may have been busier a moment ago.
    for busy in [1, 4, 16].map(|factor| factor * BUSY) {
        let took = behind(gpu, busy, call.clone());
        if took > BUSY / 4 {
            return took;
        }
    }
    panic!("the device was not busy");
}

fn behind(
    gpu: &Gpu,
    busy: Duration,
    call: impl FnOnce(&Ctc) -> Result<LossAndGradOutput, Error> + Send + 'static,
) -> Duration {
    // Two at once would measure each other.
    static ONE: Mutex<()> = Mutex::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    let ctc = Ctc::on_device(&gpu.device, &gpu.queue).unwrap();
    let batch = &batches()[0];
    let expected = ctc.loss_and_grad(&batch.batch(), &options()).unwrap();
    let stranger = Stranger::new(gpu);
    stranger.keep_busy(gpu, busy);
    let start = Instant::now();
    let (sender, answer) = mpsc::channel();
    // A thread that waits for ever must not hold up the test that says so.
    std::thread::spawn(move || {
        let got = call(&ctc);
        // Before anybody hears of it: a program that ended meanwhile would take the driver from under the device.
        drop(ctc);
        sender.send(got)
    });
    let got = answer
        .recv_timeout(PATIENCE)
        .expect("the call did not come back");
    let took = start.elapsed();
    assert_eq!(got.unwrap(), expected);
    stranger.is_right(gpu);
    println!("{}: {took:.1?}", gpu.name);
    took
}

/// The processor time of the calling thread; only Linux tells it to programs without C.
fn processor_time() -> Option<Duration> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().next().unwrap();
    Some(Duration::from_nanos(nanoseconds.parse().unwrap()))
}

#[test]
fn a_call_behind_seconds_of_others_work_waits_for_it_and_sleeps_meanwhile() {
    on_each_device(|gpu| {
        let (sender, burnt) = mpsc::channel();
        let took = behind_a_queue(gpu, move |ctc| {
            let before = processor_time();
            let answer = ctc.loss_and_grad(&batches()[0].batch(), &options());
            let after = processor_time();
            sender
                .send(after.zip(before).map(|(after, before)| after - before))
                .unwrap();
            answer
        });
        if let Some(burnt) = burnt.try_iter().last().unwrap() {
            assert!(burnt < took / 4, "{burnt:?} of {took:?} were burnt");
        }
    });
}

/// Counts how often it is woken, and lets a thread sleep until then.
struct Alarm {
    thread: std::thread::Thread,
    rings: AtomicUsize,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.rings.fetch_add(1, Ordering::SeqCst);
        self.thread.unpark();
    }
}

#[test]
fn an_awaited_call_behind_seconds_of_others_work_is_woken_once_an_answer() {
    on_each_device(|gpu| {
        behind_a_queue(gpu, |ctc| {
            let alarm = Arc::new(Alarm {
                thread: std::thread::current(),
                rings: AtomicUsize::new(0),
            });
            let waker = Waker::from(Arc::clone(&alarm));
            let (batches, options) = (batches(), options());
            let batch = batches[0].batch();
            let mut answer = std::pin::pin!(ctc.loss_and_grad_async(&batch, &options));
            loop {
                if let Poll::Ready(answer) = answer.as_mut().poll(&mut Context::from_waker(&waker))
                {
                    // The small buffer, the gradient, and the thread that waited for both.
                    let rings = alarm.rings.load(Ordering::SeqCst);
                    assert!((1..=3).contains(&rings), "woken {rings} times");
                    break answer;
                }
                std::thread::park();
            }
        });
    });
}
