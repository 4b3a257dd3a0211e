//! Error scopes, which return wgpu's errors as values. Outside a scope, wgpu panics on an error.

use futures::FutureExt;

use crate::error::Error;

/// Runs `work` and returns the first error that wgpu reports in it. `during` describes the work in
/// error messages, as in "compiling kernel `grad`".
///
/// Native backends report errors at once. A browser reports them later, to the scope that
/// `guarded_async` opens around a whole call, or to the caller's scope on a caller's device.
pub fn guarded<T>(
    device: &wgpu::Device,
    during: &str,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    if cfg!(target_arch = "wasm32") {
        return Ok(work());
    }
    let (value, error) = in_scopes(device, work);
    into_result(value, during, error.now_or_never().flatten())
}

/// Runs `work` as [`guarded`] does, for asynchronous calls, and works in a browser too. `work`
/// itself does not await, so its scopes contain no work of other calls.
pub(crate) async fn guarded_async<T>(
    device: &wgpu::Device,
    during: &str,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    let (value, error) = in_scopes(device, work);
    into_result(value, during, error.await)
}

/// Runs `work` inside error scopes. Returns its value, and a future of the first error.
fn in_scopes<T>(
    device: &wgpu::Device,
    work: impl FnOnce() -> T,
) -> (T, impl Future<Output = Option<wgpu::Error>>) {
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let value = work();
    // Scopes must be popped in reverse order, and before the first await.
    let (memory, internal, validation) = (memory.pop(), internal.pop(), validation.pop());
    let first = async { memory.await.or(internal.await).or(validation.await) };
    (value, first)
}

fn into_result<T>(value: T, during: &str, error: Option<wgpu::Error>) -> Result<T, Error> {
    match error {
        None => Ok(value),
        Some(wgpu::Error::OutOfMemory { .. }) => Err(Error::OutOfMemory(during.to_owned())),
        Some(error) => Err(Error::gpu(during, error)),
    }
}
