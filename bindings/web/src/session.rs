//! The GPU and the CPU backend of a page, each opened once.

use std::cell::RefCell;
use std::rc::Rc;

use ctc_wgpu::{Backend, Ctc, Error};

/// The backend that a call requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BackendChoice {
    /// The GPU, or the CPU backend if no GPU is available.
    Auto,
    Gpu,
    Cpu,
}

thread_local! {
    static GPU: RefCell<Option<Rc<Ctc>>> = const { RefCell::new(None) };
    static CPU: Rc<Ctc> = Rc::new(Ctc::cpu());
}

/// Opens a backend, or returns it if it is already open.
///
/// # Errors
/// If the GPU cannot be opened and the choice is [`BackendChoice::Gpu`].
pub(crate) async fn open(choice: BackendChoice) -> Result<Rc<Ctc>, Error> {
    if choice == BackendChoice::Cpu {
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
        Err(_) if choice == BackendChoice::Auto => Ok(CPU.with(Rc::clone)),
        Err(error) => Err(error),
    }
}

/// Releases the GPU if it was lost, so that the next call opens it again.
pub(crate) fn release_if_lost(error: Error) -> Error {
    if matches!(error, Error::DeviceLost(_)) {
        GPU.set(None);
    }
    error
}

/// Returns `gpu` or `cpu`.
pub(crate) fn backend_name(ctc: &Ctc) -> &'static str {
    match ctc.backend() {
        Backend::Cpu { .. } => "cpu",
        _ => "gpu",
    }
}
