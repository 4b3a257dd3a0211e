//! wgpu's errors as values. Without a scope around it, wgpu panics on what it refuses.

use futures::FutureExt;

use crate::error::Error;

/// Runs `work` and returns what wgpu refused in it as an error.
///
/// On native backends the answer is there at once. A browser gives it later: there the scope around all of a call gets
/// it, which is [`guarded_async`], or on a caller's device the caller's.
pub(crate) fn guarded<T>(
    device: &wgpu::Device,
    during: &str,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    if cfg!(target_arch = "wasm32") {
        return Ok(work());
    }
    let (value, caught) = caught(device, work);
    answer(value, during, caught.now_or_never().flatten())
}

/// [`guarded`] for calls that are awaited: in a browser too. `work` itself awaits nothing, so no other call's work falls
/// into its scopes.
pub(crate) async fn guarded_async<T>(
    device: &wgpu::Device,
    during: &str,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    let (value, caught) = caught(device, work);
    answer(value, during, caught.await)
}

fn caught<T>(
    device: &wgpu::Device,
    work: impl FnOnce() -> T,
) -> (T, impl Future<Output = Option<wgpu::Error>>) {
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let value = work();
    // The guards go in the reverse order of their making, and all before anything is awaited.
    let (memory, internal, validation) = (memory.pop(), internal.pop(), validation.pop());
    let first = async { memory.await.or(internal.await).or(validation.await) };
    (value, first)
}

fn answer<T>(value: T, during: &str, refusal: Option<wgpu::Error>) -> Result<T, Error> {
    match refusal {
        None => Ok(value),
        Some(wgpu::Error::OutOfMemory { .. }) => Err(Error::OutOfMemory(during.to_owned())),
        Some(refusal) => Err(Error::gpu(during, refusal)),
    }
}
