//! wgpu's errors as values. Without a scope around it, wgpu panics on what it refuses.

use futures::FutureExt;

use crate::error::Error;

/// Runs `work` and returns what wgpu refused in it as an error.
///
/// On native backends the answer is there at once. A browser gives it later: there the device's own error handler gets it.
pub(crate) fn guarded<T>(
    device: &wgpu::Device,
    during: &str,
    work: impl FnOnce() -> T,
) -> Result<T, Error> {
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let value = work();
    // The guards go in the reverse order of their making.
    let caught = [
        memory.pop().now_or_never(),
        internal.pop().now_or_never(),
        validation.pop().now_or_never(),
    ];
    match caught.into_iter().flatten().flatten().next() {
        None => Ok(value),
        Some(wgpu::Error::OutOfMemory { .. }) => Err(Error::OutOfMemory(during.to_owned())),
        Some(refusal) => Err(Error::Gpu {
            during: during.to_owned(),
            reason: refusal.to_string(),
        }),
    }
}
