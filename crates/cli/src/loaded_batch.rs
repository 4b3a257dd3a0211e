//! A batch that was read from a file and checked, with the options to compute it.

use ctc_wgpu::{BatchShape, CheckedBatch, Options};

use crate::args::{BatchArgs, InputArgs};
use crate::error::CliError;
use crate::format;
use crate::memory;
use crate::progress;
use ctc_wgpu_npz::BatchFile;

/// A batch that the library accepts, and its options.
pub(crate) struct LoadedBatch {
    pub(crate) file: BatchFile,
    pub(crate) options: Options,
    pub(crate) shape: BatchShape,
    pub(crate) blank: usize,
}

impl LoadedBatch {
    /// Reads and checks a batch with labels, before any device is used.
    pub(crate) fn read(args: &BatchArgs) -> Result<Self, CliError> {
        let batch = Self::read_unlabelled(&args.input, |file| args.options(file))?;
        let shape = *batch.checked()?.shape();
        Ok(Self { shape, ..batch })
    }

    /// Reads and checks a batch without its labels, which the file may lack. `options` returns the
    /// options for the file.
    pub(crate) fn read_unlabelled(
        args: &InputArgs,
        options: impl FnOnce(&BatchFile) -> Result<Options, CliError>,
    ) -> Result<Self, CliError> {
        memory::set_batch_file(&args.file);
        let bar = progress::reading();
        let file = BatchFile::read(&args.file, args.layout(), bar.clone());
        bar.finish_and_clear();
        let file = file?;
        for note in file.notes() {
            format::note(&file.path, &note);
        }
        let options = options(&file)?;
        let no_labels = vec![0; file.items()];
        let shape = *CheckedBatch::new(&file.batch().labels(&[], &no_labels), &options)
            .map_err(|e| CliError::from_input(&args.file, e))?
            .shape();
        let blank = options.blank.index(shape.classes);
        Ok(Self {
            file,
            options,
            shape,
            blank,
        })
    }

    /// Checks the batch with its labels.
    pub(crate) fn checked(&self) -> Result<CheckedBatch<'_>, CliError> {
        CheckedBatch::new(&self.file.batch(), &self.options)
            .map_err(|e| CliError::from_input(&self.file.path, e))
    }

    /// Prints a note about the first item with a loss below 0.
    pub(crate) fn note_negative_loss(&self, mut losses: impl Iterator<Item = (usize, f64)>) {
        if let Some((item, loss)) = losses.find(|(_, loss)| *loss < 0.0) {
            self.note_no_distribution(item, &format!("loss of {loss:.6}, below 0"));
        }
    }

    /// Prints a note about the first item whose labels or path have a log-probability above 0.
    /// Rounding errors, which can sum to 1e-6 per frame, are ignored.
    pub(crate) fn note_positive_log_prob(&self, mut log_probs: impl Iterator<Item = (usize, f64)>) {
        let rounding = |item: usize| 1e-6 * self.file.frames(item) as f64;
        if let Some((item, log_prob)) = log_probs.find(|(n, log_prob)| *log_prob > rounding(*n)) {
            self.note_no_distribution(item, &format!("log_prob of {log_prob:.6}, above 0"));
        }
    }

    fn note_no_distribution(&self, item: usize, result: &str) {
        format::note(
            &self.file.path,
            &format!(
                "item {item} has a {result}: its probabilities sum to more than 1; unnormalised \
                 scores belong in the array `logits`"
            ),
        );
    }
}
