//! Where a page computes: its GPU and the CPU backend, each opened once.

use std::cell::RefCell;
use std::rc::Rc;

use ctc_wgpu::{Backend, Ctc, Error};

/// What a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The GPU, or the CPU backend where there is none.
    Auto,
    Gpu,
    Cpu,
}

thread_local! {
    static GPU: RefCell<Option<Rc<Ctc>>> = const { RefCell::new(None) };
    static CPU: Rc<Ctc> = Rc::new(Ctc::cpu());
}

/// Where to compute.
///
/// # Errors
/// What opening the GPU met, if only that will do.
pub(crate) async fn open(wanted: Wanted) -> Result<Rc<Ctc>, Error> {
    if wanted == Wanted::Cpu {
        return Ok(CPU.with(Rc::clone));
    }
    if let Some(ctc) = GPU.with_borrow(Clone::clone) {
        return Ok(ctc);
    }
    match Ctc::gpu_async().await {
        Ok(ctc) => {
            let ctc = Rc::new(ctc);
            GPU.set(Some(Rc::clone(&ctc)));
            Ok(ctc)
        }
        Err(_) if wanted == Wanted::Auto => Ok(CPU.with(Rc::clone)),
        Err(error) => Err(error),
    }
}

/// Forgets a GPU that is lost, so that the next call opens it anew.
pub(crate) fn heed(error: Error) -> Error {
    if matches!(error, Error::DeviceLost(_)) {
        GPU.set(None);
    }
    error
}

/// `gpu` or `cpu`.
pub(crate) fn name(ctc: &Ctc) -> &'static str {
    match ctc.backend() {
        Backend::Cpu { .. } => "cpu",
        _ => "gpu",
    }
}
