//! The learning-rate schedule, and a display for output that is not a terminal.

use std::collections::{BTreeMap, HashMap};

use burn::lr_scheduler::{LrScheduler, LrSchedulerRecord};
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::{MetricDefinition, MetricEntry, MetricId};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};

/// A learning-rate schedule that rises to `rate` in the first tenth of the steps and then falls to
/// 0 as a cosine.
#[derive(Debug, Clone)]
pub struct OneCycle {
    rate: f64,
    steps: usize,
    step: usize,
}

impl OneCycle {
    pub fn new(rate: f64, steps: usize) -> Self {
        Self {
            rate,
            steps,
            step: 0,
        }
    }
}

impl LrScheduler for OneCycle {
    fn step(&mut self) -> f64 {
        self.step += 1;
        let share = self.step as f64 / self.steps as f64;
        match share {
            x if x < 0.1 => self.rate * (0.04 + 0.96 * x / 0.1),
            x => self.rate * 0.5 * (1.0 + (std::f64::consts::PI * (x - 0.1) / 0.9).cos()).max(1e-5),
        }
    }

    fn to_record(&self) -> LrSchedulerRecord {
        LrSchedulerRecord::new()
    }

    fn load_record(&mut self, _record: LrSchedulerRecord) {}
}

/// Prints one line per epoch, with the latest value of each metric.
#[derive(Default)]
pub struct EpochLog {
    names: HashMap<MetricId, String>,
    latest: BTreeMap<String, String>,
    epoch: usize,
    epochs: usize,
}

impl EpochLog {
    fn note(&mut self, split: &str, state: MetricState) {
        let (MetricState::Generic(entry) | MetricState::Numeric(entry, _)) = state;
        let MetricEntry {
            metric_id,
            serialized_entry,
            ..
        } = entry;
        let name = self.names.get(&metric_id).map_or("", String::as_str);
        self.latest
            .insert(format!("{split} {name}"), serialized_entry.formatted);
    }
}

impl MetricsRendererTraining for EpochLog {
    fn update_train(&mut self, state: MetricState) {
        self.note("train", state);
    }

    fn update_valid(&mut self, state: MetricState) {
        self.note("valid", state);
    }
}

impl TrainingProgressLogger for EpochLog {
    fn start(&mut self, epochs: usize, _first: usize, _items: Option<usize>, _label: Option<&str>) {
        self.epochs = epochs;
    }

    fn start_split(&mut self, _name: &str, _items: usize) {}

    fn update_split(&mut self, _items: usize) {}

    fn update_epoch(&mut self, _epoch: usize) {
        self.epoch += 1;
        let metrics: Vec<_> = self
            .latest
            .iter()
            .map(|(name, text)| format!("{name}: {text}"))
            .collect();
        println!(
            "epoch {}/{}  {}",
            self.epoch,
            self.epochs,
            metrics.join("  ")
        );
    }

    fn end_split(&mut self) {}

    fn end(&mut self) {}

    fn log_event_training(&mut self, _event: String) {}
}

impl EvaluationProgressLogger for EpochLog {
    fn start_global_progress(&mut self, _tests: usize) {}

    fn start_test(&mut self, _name: &str, _items: usize) {}

    fn update_test_progress(&mut self, _items: usize) {}

    fn end_test(&mut self) {}

    fn end_global_progress(&mut self) {}

    fn log_event_evaluation(&mut self, _event: String) {}
}

impl MetricsRendererEvaluation for EpochLog {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}
}

impl MetricsRenderer for EpochLog {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names
            .insert(definition.metric_id, definition.name.to_string());
    }
}
