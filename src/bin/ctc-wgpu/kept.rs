//! Compiled kernels in the user's cache folder, so that the next run need not compile them again.
//!
//! A cache must never make a run fail: where the folder or the file cannot be used, kernels are compiled as without it.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use ctc_wgpu::{Backend, Ctc};
use etcetera::BaseStrategy;

use crate::output::Output;

/// The folder to use in place of the user's cache folder; with an empty value nothing is kept.
const FOLDER_VARIABLE: &str = "CTC_WGPU_CACHE_DIR";

/// The pipeline cache of one adapter, and the file that it came from.
pub(crate) struct Kept {
    cache: wgpu::PipelineCache,
    file: PathBuf,
    read: Option<Vec<u8>>,
}

impl Kept {
    /// The cache of the adapter that `ctc` computes on, if its driver has one and there is a folder.
    pub(crate) fn of(ctc: &Ctc) -> Option<Self> {
        let (Backend::Gpu(info), Some(device)) = (ctc.backend(), ctc.device()) else {
            return None;
        };
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let key = wgpu::util::pipeline_cache_key(info)?;
        let file = folder()?.join(format!("{key}_{}", env!("CARGO_PKG_VERSION")));
        let read = read(&file);
        Some(Self {
            cache: open(device, read.as_deref()),
            file,
            read,
        })
    }

    pub(crate) fn cache(&self) -> &wgpu::PipelineCache {
        &self.cache
    }

    /// Writes the file if kernels were compiled since it was read.
    pub(crate) fn save(&self) {
        let data = self.cache.get_data().filter(|data| !data.is_empty());
        if let Some(data) = data.filter(|data| self.read.as_ref() != Some(data)) {
            // A full disk or a folder that cannot be written to must not make the run fail.
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
    reason = "wgpu requires it, because a driver may trust the data without checking them; the argument stands at the call"
)]
fn open(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor {
        label: Some("ctc-wgpu"),
        data,
        // Data of another driver version are dropped.
        fallback: true,
    };
    // SAFETY: the data are what `get_data` returned for an adapter with the same key: `write` put them into a folder of
    // this user, and `read` compared their checksum. wgpu and the driver compare driver and device themselves.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

/// The file begins with the CRC-32 of the rest.
const CHECKSUM_BYTES: usize = 4;

/// The data in a file, if they are whole.
fn read(file: &Path) -> Option<Vec<u8>> {
    // GreedyHypothesis a pipe would wait for a writer.
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

/// Replaces the file in one step, so that a run beside this one reads the old file or the new one.
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
    fn what_was_written_is_read_and_what_is_not_whole_is_dropped() -> std::io::Result<()> {
        let folder = std::env::temp_dir().join(format!("ctc-wgpu-kept-{}", std::process::id()));
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
