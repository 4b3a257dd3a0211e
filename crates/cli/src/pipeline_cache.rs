//! Stores compiled kernels in the user's cache folder, so that later runs can reuse them.
//!
//! Errors of the cache are ignored: if the folder or the file cannot be used, the kernels are
//! compiled.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ctc_wgpu::{Backend, Ctc};
use etcetera::BaseStrategy;

use crate::output::Output;

/// The folder to use instead of the user's cache folder; an empty value disables the cache.
const FOLDER_VARIABLE: &str = "CTC_WGPU_CACHE_DIR";

/// The pipeline cache of one adapter, and the file that stores it.
pub(crate) struct PipelineCacheFile {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    /// The contents of the file when it was opened.
    stored: Option<Vec<u8>>,
}

impl PipelineCacheFile {
    /// Opens the cache of the adapter of `ctc`. Returns `None` on the CPU, if the driver does not
    /// support pipeline caches, or if there is no cache folder.
    pub(crate) fn open(ctc: &Ctc) -> Option<Self> {
        let (Backend::Gpu(info), Some(device)) = (ctc.backend(), ctc.device()) else {
            return None;
        };
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = wgpu::util::pipeline_cache_key(info)?;
        let file = folder()?.join(format!("{key}_{}", env!("CARGO_PKG_VERSION")));
        let stored = read(&file);
        Some(Self {
            cache: create_cache(device, stored.as_deref()),
            file,
            stored,
        })
    }

    pub(crate) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file if kernels were compiled since it was opened.
    pub(crate) fn save(&self) {
        let data = self.cache.get_data().filter(|data| !data.is_empty());
        if let Some(data) = data.filter(|data| self.stored.as_ref() != Some(data)) {
            // Ignores a full disk or a folder that cannot be written.
            drop(write(&self.file, &data));
        }
    }
}

fn folder() -> Option<PathBuf> {
    match std::env::var_os(FOLDER_VARIABLE) {
        Some(folder) if folder.is_empty() => None,
        Some(folder) => Some(folder.into()),
        None => {
            let folders = etcetera::choose_base_strategy().ok()?;
            Some(folders.cache_dir().join("ctc-wgpu"))
        }
    }
}

#[allow(
    unsafe_code,
    reason = "a driver may trust the data without checking them; see the SAFETY comment"
)]
fn create_cache(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor {
        label: Some("ctc-wgpu"),
        data,
        // Data of another driver version are ignored.
        fallback: true,
    };
    // SAFETY: `get_data` returned these data for an adapter with the same key. `write` stored them
    // in a folder of this user, and `read` compared their checksum. wgpu and the driver check that
    // driver and device match.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

/// The file begins with the CRC-32 of the rest.
const CHECKSUM_BYTES: usize = 4;

/// Reads the data of a file; returns `None` if their checksum is wrong.
fn read(file: &Path) -> Option<Vec<u8>> {
    // Reading a pipe would block until another process writes to it.
    if !fs::metadata(file).ok()?.is_file() {
        return None;
    }
    let mut bytes = fs::read(file).ok()?;
    if bytes.len() < CHECKSUM_BYTES {
        return None;
    }
    let data = bytes.split_off(CHECKSUM_BYTES);
    (bytes == checksum(&data)).then_some(data)
}

/// Replaces the file atomically, so that a concurrent run reads the old file or the new one.
fn write(file: &Path, data: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    Output::open(file)?.replace(|file| {
        file.write_all(&checksum(data))?;
        file.write_all(data)
    })
}

fn checksum(data: &[u8]) -> [u8; CHECKSUM_BYTES] {
    crc32fast::hash(data).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_data_is_read_back_and_damaged_data_is_ignored() -> std::io::Result<()> {
        let folder =
            std::env::temp_dir().join(format!("ctc-wgpu-pipeline-cache-{}", std::process::id()));
        let file = folder.join("deeper/key_0.1.0");
        let data: Vec<u8> = (0..100).collect();
        assert_eq!(read(&file), None);
        write(&file, &data)?;
        assert_eq!(read(&file), Some(data.clone()));
        write(&file, &data[..50])?;
        assert_eq!(read(&file).as_deref(), Some(&data[..50]));
        assert_eq!(fs::read_dir(folder.join("deeper"))?.count(), 1);

        let whole = fs::read(&file)?;
        for length in 0..whole.len() {
            fs::write(&file, &whole[..length])?;
            assert_eq!(read(&file), None, "{length} bytes");
        }
        let mut changed = whole;
        changed[20] ^= 1;
        fs::write(&file, &changed)?;
        assert_eq!(read(&file), None);
        fs::remove_dir_all(&folder)
    }
}
