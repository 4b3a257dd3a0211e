//! Runs the tool, and reads and writes small `.npz` files.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use npyz::{AutoSerialize, Deserialize, NpyFile, WriterBuilder};
use serde_json::Value;
use zip::{ZipArchive, ZipWriter, write::SimpleFileOptions};

/// Returns the path of a file under `tests/data`.
pub(crate) fn data(name: &str) -> String {
    format!("{}/../../tests/data/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Returns a path in a folder that only this test run uses.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("the scratch folder");
    folder.join(name)
}

/// The exit status and the output of a run of the tool.
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the tool.
pub(crate) fn tool<A: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    let Output {
        status,
        stdout,
        stderr,
    } = command().args(args).output().expect("the tool starts");
    Run {
        status: status.code().expect("an exit status, not a signal"),
        stdout: String::from_utf8(stdout).expect("UTF-8 on stdout"),
        stderr: String::from_utf8(stderr).expect("UTF-8 on stderr"),
    }
}

pub(crate) fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ctc-wgpu"));
    // If this is not set, Mesa's EGL writes to stderr, where these tests count lines.
    command.env("XDG_RUNTIME_DIR", std::env::temp_dir());
    // No cache: no test depends on kernels that another one compiled, or writes to the user's
    // folders.
    command.env("CTC_WGPU_CACHE_DIR", "");
    command
}

/// Runs the tool with `--json`, asserts success, and parses the output.
pub(crate) fn json(args: &[&str]) -> Value {
    let run = tool(args.iter().chain(&["--json"]));
    assert_eq!(run.status, 0, "{args:?}: {}", run.stderr);
    serde_json::from_str(&run.stdout).expect("one JSON object")
}

/// Asserts exit status 2, an empty stdout, and one line on stderr that contains `file` and
/// `reason`.
#[track_caller]
pub(crate) fn rejected(args: &[&str], file: &str, reason: &str) {
    let run = tool(args);
    assert_eq!(run.status, 2, "{args:?}: {}{}", run.stdout, run.stderr);
    assert_eq!(run.stdout, "", "{args:?}");
    assert_eq!(run.stderr.lines().count(), 1, "{args:?}: {}", run.stderr);
    assert!(run.stderr.starts_with("error: "), "{}", run.stderr);
    for part in [file, reason] {
        assert!(run.stderr.contains(part), "no `{part}` in: {}", run.stderr);
    }
}

/// Builds an `.npz` file: `.npy` bytes by name.
#[derive(Clone, Default)]
pub(crate) struct Npz(BTreeMap<String, Vec<u8>>);

impl Npz {
    /// Two items of four frames and three classes, each with one label.
    pub(crate) fn small() -> Self {
        Self::default()
            .with("logits", &[2, 4, 3], &[0.5_f32; 24])
            .with("labels", &[2, 2], &[1_i32, 2, 2, 1])
            .with("label_lengths", &[2], &[1_i32, 2])
            .with("logit_lengths", &[2], &[4_i32, 4])
    }

    pub(crate) fn with<T: AutoSerialize + Copy>(
        self,
        name: &str,
        shape: &[u64],
        values: &[T],
    ) -> Self {
        let mut bytes = Vec::new();
        let mut npy = npyz::WriteOptions::new()
            .default_dtype()
            .shape(shape)
            .writer(&mut bytes)
            .begin_nd()
            .expect("a header");
        npy.extend(values.iter().copied()).expect("the values");
        npy.finish().expect("the end");
        self.with_raw(name, bytes)
    }

    /// Adds an entry with any bytes.
    pub(crate) fn with_raw(mut self, name: &str, bytes: Vec<u8>) -> Self {
        self.0.insert(name.to_owned(), bytes);
        self
    }

    /// Adds an entry with any header, followed by `values` zero bytes.
    pub(crate) fn with_header(self, name: &str, header: &str, values: usize) -> Self {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        let length = u16::try_from(header.len()).expect("a short header");
        bytes.extend(length.to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + values, 0);
        self.with_raw(name, bytes)
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.0.remove(name);
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let stored =
            SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for (name, bytes) in &self.0 {
            zip.start_file(format!("{name}.npy"), stored)
                .expect("an entry");
            zip.write_all(bytes).expect("its bytes");
        }
        zip.finish().expect("the directory").into_inner()
    }

    /// Writes the file into the scratch folder and returns its path.
    pub(crate) fn save(&self, name: &str) -> String {
        save(name, &self.bytes())
    }
}

/// Returns one item that decodes to `labels`, each with two frames and a blank after it.
pub(crate) fn spelling(labels: &[i32], classes: usize, blank: usize) -> Npz {
    let class = |label: &i32| usize::try_from(*label).expect("a class");
    let frames = labels
        .iter()
        .flat_map(|label| [class(label), class(label), blank]);
    let logits: Vec<f32> = frames
        .flat_map(|frame| (0..classes).map(move |class| if class == frame { 9.0 } else { 0.0 }))
        .collect();
    let length = labels.len() as u64;
    Npz::default()
        .with("logits", &[1, 3 * length, classes as u64], &logits)
        .with("labels", &[1, length], labels)
}

/// Writes bytes into the scratch folder and returns the path.
pub(crate) fn save(name: &str, bytes: &[u8]) -> String {
    let path = scratch(name);
    std::fs::write(&path, bytes).expect("the scratch file");
    path.display().to_string()
}

/// Reads an array of type `T` from a file.
pub(crate) fn array<T: Deserialize>(path: &str, name: &str) -> (Vec<u64>, Vec<T>) {
    let mut zip = ZipArchive::new(File::open(path).expect("the file")).expect("an archive");
    let entry = zip.by_name(&format!("{name}.npy")).expect("the array");
    let npy = NpyFile::new(entry).expect("a header");
    let shape = npy.shape().to_vec();
    (shape, npy.into_vec().expect("the values"))
}

/// Returns the names of a file's arrays.
pub(crate) fn names(path: &str) -> Vec<String> {
    let zip = ZipArchive::new(File::open(path).expect("the file")).expect("an archive");
    let mut names: Vec<String> = zip
        .file_names()
        .map(|name| name.expect("a name").into_owned())
        .collect();
    names.sort();
    names
}
