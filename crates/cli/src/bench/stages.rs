//! Measures the time of each stage of a batch on a device.

use std::time::{Duration, Instant};

use clap::ValueEnum;
use ctc_wgpu::{Error, Prepared};
use serde_json::{Map, Value, json};
use wgpu::{CommandEncoder, ComputePassDescriptor, Features, QUERY_SET_MAX_QUERIES, QuerySet};

use super::measure::Times;
use super::timestamps::Timestamps;
use crate::format;
use ctc_wgpu_bench_support::resident::Gpu;

/// How each stage is timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StageTiming {
    /// Timestamps between the dispatches of one pass, as a batch normally runs
    Timestamps,
    /// One pass per stage, with timestamps at its beginning and end
    Passes,
    /// One submission per stage, by the wall clock, including submitting and waiting
    Submissions,
}

impl StageTiming {
    /// Returns the requested way, or the first that a device with these features supports.
    pub(crate) fn choose(requested: Option<Self>, features: Features) -> Result<Self, String> {
        let has = |way: &Self| features.contains(way.needs());
        let best_first = [Self::Timestamps, Self::Passes];
        match requested {
            None => Ok(best_first
                .into_iter()
                .find(has)
                .unwrap_or(Self::Submissions)),
            Some(way) if has(&way) => Ok(way),
            Some(way) => Err(format!(
                "the adapter lacks a required feature: {:?}",
                way.needs()
            )),
        }
    }

    /// Returns the way to use and its number of timestamps. A query set holds a few thousand
    /// timestamps. A batch with more dispatches takes so long that the wall clock is accurate
    /// enough.
    fn limited_by_query_set(self, dispatches: usize) -> (Self, u32) {
        let dispatches = u32::try_from(dispatches).unwrap_or(u32::MAX);
        let timestamps = match self {
            Self::Timestamps => dispatches.saturating_add(1),
            Self::Passes => dispatches.saturating_mul(2),
            Self::Submissions => 0,
        };
        match timestamps {
            1..=QUERY_SET_MAX_QUERIES => (self, timestamps),
            _ => (Self::Submissions, 0),
        }
    }

    fn needs(self) -> Features {
        match self {
            Self::Timestamps => Features::TIMESTAMP_QUERY | Features::TIMESTAMP_QUERY_INSIDE_PASSES,
            Self::Passes => Features::TIMESTAMP_QUERY,
            Self::Submissions => Features::empty(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Timestamps => "timestamps in one pass",
            Self::Passes => "timestamps, one pass per stage",
            Self::Submissions => "wall clock, one submission per stage",
        }
    }
}

/// The median time of each stage, summed over its dispatches, in the order in which the stages
/// first run.
pub(crate) struct Stages {
    times: Vec<(&'static str, Duration)>,
    way: StageTiming,
}

impl Stages {
    /// Times a batch with as many runs as [`Times::take`].
    pub(crate) fn take(gpu: &Gpu, prepared: &Prepared, way: StageTiming) -> Result<Self, Error> {
        let names: Vec<_> = prepared.stages().map(|stage| stage.name()).collect();
        let (way, timestamps) = way.limited_by_query_set(names.len());
        let timestamps =
            (way != StageTiming::Submissions).then(|| Timestamps::new(gpu, timestamps));
        let mut runs = Vec::new();
        let counted = Times::take(|| {
            let times = match &timestamps {
                Some(timestamps) if way == StageTiming::Passes => {
                    passes(gpu, prepared, timestamps)?
                }
                Some(timestamps) => one_pass(gpu, prepared, timestamps)?,
                None => submissions(gpu, prepared)?,
            };
            let total = times.iter().sum();
            runs.push(times);
            Ok::<_, Error>(total)
        })?;
        // The earlier runs are the warm-up.
        let runs = runs.split_off(runs.len() - counted.runs());
        Ok(Self {
            times: medians(&names, &runs),
            way,
        })
    }

    pub(crate) fn timed_by(&self) -> &'static str {
        self.way.name()
    }

    pub(crate) fn json(&self) -> Value {
        let micros = |(name, time): &(&str, Duration)| ((*name).to_owned(), json!(micros(*time)));
        Value::Object(self.times.iter().map(micros).collect::<Map<_, _>>())
    }

    fn of(&self, name: &str) -> Option<Duration> {
        let mut times = self.times.iter();
        times.find_map(|(stage, time)| (*stage == name).then_some(*time))
    }

    fn sum(&self) -> Duration {
        self.times.iter().map(|(_, time)| time).sum()
    }
}

/// Sums the dispatches of each stage in each run, and returns the median over the runs. `names`
/// contains the stage of each dispatch.
fn medians(names: &[&'static str], runs: &[Vec<Duration>]) -> Vec<(&'static str, Duration)> {
    let median = |stage: &'static str| {
        let of_stage = |run: &Vec<Duration>| {
            let times = names.iter().zip(run);
            times
                .filter(|(name, _)| **name == stage)
                .map(|(_, time)| time)
                .sum()
        };
        let mut sums: Vec<Duration> = runs.iter().map(of_stage).collect();
        sums.sort_unstable();
        (stage, sums.get(sums.len() / 2).copied().unwrap_or_default())
    };
    distinct(names.iter().copied())
        .into_iter()
        .map(median)
        .collect()
}

/// Returns each name once, in the order of first occurrence.
fn distinct(names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    let mut seen = Vec::new();
    for name in names {
        if !seen.contains(&name) {
            seen.push(name);
        }
    }
    seen
}

/// Times the dispatches of one pass. A dispatch is timed from the end of the one before it, also if
/// both run at the same time.
fn one_pass(
    gpu: &Gpu,
    prepared: &Prepared,
    timestamps: &Timestamps,
) -> Result<Vec<Duration>, Error> {
    let record = |encoder: &mut CommandEncoder, set: &QuerySet| {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.write_timestamp(set, 0);
        for (stage, index) in prepared.stages().zip(1..) {
            stage.encode(&mut pass);
            pass.write_timestamp(set, index);
        }
        Ok(())
    };
    let ticks = timestamps.run(gpu, record)?;
    let pairs = ticks.iter().zip(ticks.iter().skip(1));
    Ok(pairs
        .map(|(begin, end)| timestamps.between(*begin, *end))
        .collect())
}

fn passes(gpu: &Gpu, prepared: &Prepared, timestamps: &Timestamps) -> Result<Vec<Duration>, Error> {
    let record = |encoder: &mut CommandEncoder, set: &QuerySet| {
        for (stage, index) in prepared.stages().zip(0..) {
            let descriptor = ComputePassDescriptor {
                label: Some(stage.name()),
                timestamp_writes: Some(wgpu::ComputePassTimestampWrites {
                    query_set: set,
                    beginning_of_pass_write_index: Some(2 * index),
                    end_of_pass_write_index: Some(2 * index + 1),
                }),
            };
            stage.encode(&mut encoder.begin_compute_pass(&descriptor));
        }
        Ok(())
    };
    let ticks = timestamps.run(gpu, record)?;
    let (pairs, _) = ticks.as_chunks::<2>();
    Ok(pairs
        .iter()
        .map(|[begin, end]| timestamps.between(*begin, *end))
        .collect())
}

fn submissions(gpu: &Gpu, prepared: &Prepared) -> Result<Vec<Duration>, Error> {
    let time = |stage: ctc_wgpu::Stage<'_>| {
        let start = Instant::now();
        gpu.run(|encoder| {
            stage.encode(&mut encoder.begin_compute_pass(&ComputePassDescriptor::default()));
            Ok(())
        })?;
        Ok(start.elapsed())
    };
    prepared.stages().map(time).collect()
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// Formats a shape over two lines, for the heading of a column.
pub(crate) fn heading([frames, items, classes, labels]: [usize; 4]) -> String {
    format!("T={frames} N={items}\nC={classes} L={labels}")
}

/// Formats a table with one row per stage, and per batch its microseconds and its share. Empty if
/// no batch has stages.
pub(crate) fn section(batches: &[(String, &Stages)]) -> String {
    if batches.is_empty() {
        return String::new();
    }
    let all = batches.iter().flat_map(|(_, stages)| &stages.times);
    let names = distinct(all.map(|(name, _)| *name));
    let ways = distinct(batches.iter().map(|(_, stages)| stages.timed_by()));
    let mut header = vec!["stage"];
    header.extend(batches.iter().map(|(name, _)| name.as_str()));
    let cell = |stages: &Stages, time: Option<Duration>| match time {
        None => "–       ".to_owned(),
        Some(time) => {
            let share = time.as_secs_f64() / stages.sum().as_secs_f64().max(f64::MIN_POSITIVE);
            format!("{} {:>4.0} %", figure(time), share * 100.0)
        }
    };
    let row = |name: &str, time: &dyn Fn(&Stages) -> Option<Duration>| {
        let cells = batches.iter().map(|(_, stages)| cell(stages, time(stages)));
        std::iter::once(name.to_owned()).chain(cells).collect()
    };
    let mut rows: Vec<_> = names
        .iter()
        .map(|name| row(name, &|stages| stages.of(name)))
        .collect();
    rows.push(row("sum", &|stages| Some(stages.sum())));
    let how = format!(
        "µs and share of the sum, median, by {}\n",
        ways.join(" or ")
    );
    let table = format::table(&header, rows, &[0]);
    format!("\n{}{table}", format::line("stages", &how))
}

fn figure(time: Duration) -> String {
    let micros = micros(time);
    match micros {
        ..10.0 => format!("{micros:.1}"),
        _ => format!("{micros:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_is_the_requested_one_or_the_best_that_the_device_supports() {
        let passes = Features::TIMESTAMP_QUERY;
        let inside = passes | Features::TIMESTAMP_QUERY_INSIDE_PASSES;
        for (features, best) in [
            (Features::empty(), StageTiming::Submissions),
            (passes, StageTiming::Passes),
            (inside, StageTiming::Timestamps),
        ] {
            assert_eq!(StageTiming::choose(None, features), Ok(best));
            let slowest = Some(StageTiming::Submissions);
            assert_eq!(
                StageTiming::choose(slowest, features),
                Ok(StageTiming::Submissions)
            );
        }
        let rejection = StageTiming::choose(Some(StageTiming::Timestamps), passes);
        assert!(rejection.is_err_and(|reason| reason.contains("INSIDE_PASSES")));
        assert!(StageTiming::choose(Some(StageTiming::Passes), Features::empty()).is_err());
    }

    #[test]
    fn more_dispatches_than_a_query_set_holds_are_timed_by_submissions() {
        for (way, dispatches, expected) in [
            (
                StageTiming::Timestamps,
                4095,
                (StageTiming::Timestamps, 4096),
            ),
            (StageTiming::Timestamps, 4096, (StageTiming::Submissions, 0)),
            (StageTiming::Passes, 2048, (StageTiming::Passes, 4096)),
            (StageTiming::Passes, 2049, (StageTiming::Submissions, 0)),
            (StageTiming::Submissions, 7, (StageTiming::Submissions, 0)),
        ] {
            assert_eq!(way.limited_by_query_set(dispatches), expected);
        }
    }

    #[test]
    fn the_dispatches_of_a_stage_are_summed_before_the_median() {
        let names = ["softmax_stats", "sweep inward", "softmax_stats"];
        let runs = [[1, 10, 5], [9, 20, 9], [2, 30, 2]];
        let runs = runs.map(|run| run.map(Duration::from_micros).to_vec());
        let expected = [("softmax_stats", 6), ("sweep inward", 20)];
        let expected = expected.map(|(name, micros)| (name, Duration::from_micros(micros)));
        assert_eq!(medians(&names, &runs), expected);
    }
}
