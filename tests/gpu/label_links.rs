//! The links between equal labels, compared with those that a hash map gives.

use std::collections::HashMap;

use ctc_wgpu::{BatchShape, BlankInLabels, DeviceLimits, Launch, Operand, Options, Plan, Task};

use crate::launches::{Arena, launch};
use crate::support::device::{Gpu, on_each_device};
use crate::support::random::Rng;

/// Must match TOP_BIT and NO_LABEL in shaders/shared/index.wgsl.
const TOP_BIT: u32 = 1 << 31;
const NO_LABEL: u32 = TOP_BIT - 1;
/// Must match CHUNK in shaders/label_links.wgsl.
const CHUNK: usize = 512;

/// Returns the link of each label, and the first label of each class.
fn expected(labels: &[i32], classes: usize) -> (Vec<u32>, Vec<u32>) {
    let mut first = HashMap::new();
    let mut links = vec![0; labels.len()];
    for (i, class) in labels.iter().enumerate().rev() {
        let later = first.get(class).copied();
        links[i] = later.unwrap_or(labels.len() as u32);
        first.insert(*class, i as u32 | if later.is_some() { TOP_BIT } else { 0 });
    }
    let word = |class| first.get(&(class as i32)).copied().unwrap_or(NO_LABEL);
    (links, (0..classes).map(word).collect())
}

/// Runs `check_labels`, and `label_links` in workgroups of `lanes` and in `dispatches`, and
/// compares what it writes.
fn check(
    gpu: &Gpu,
    limits: &DeviceLimits,
    classes: usize,
    items: &[Vec<i32>],
    [lanes, dispatches]: [u32; 2],
) {
    let longest = items.iter().map(Vec::len).max().unwrap();
    let shape = BatchShape::new(items.len(), longest, classes, longest);
    let options = Options::default().blank_in_labels(BlankInLabels::Allow);
    let plan = Plan::new(&shape, &options, Task::LossAndGrad, limits).unwrap();
    assert_eq!(plan.batch_tiles(), 1);
    let is_needed = |launch: &Launch| ["check_labels", "label_links"].contains(&launch.name);
    let launches: Vec<_> = plan.launches().filter(is_needed).collect();
    assert_eq!(launches.len(), 1 + dispatches as usize);
    let last = launches.last().unwrap();
    assert_eq!(
        (last.name, last.workgroup_size),
        ("label_links", [lanes, 1, 1])
    );

    let workspace: Vec<_> = plan.workspace_arrays().collect();
    let mut arena = Arena::new();
    let mut rng = Rng::new(7);
    for bound in launches.iter().flat_map(|launch| &launch.bindings) {
        let padded = items.iter().flat_map(|labels| {
            let padding = vec![0; longest - labels.len()];
            [labels.clone(), padding].concat()
        });
        let words: Vec<u32> = match bound.operand {
            known if arena.has(known) => continue,
            Operand::Workspace(index) => {
                // Labels and links of another batch, whose classes are among those of this one.
                let words = 0..workspace[index] / 4;
                words.map(|_| rng.below(classes) as u32).collect()
            }
            Operand::Labels => padded.map(|label| label as u32).collect(),
            Operand::LogitLengths => vec![longest as u32; items.len()],
            Operand::LabelLengths => items.iter().map(|labels| labels.len() as u32).collect(),
            Operand::Weights => vec![1.0_f32.to_bits(); items.len()],
            other => panic!("{other:?} is bound"),
        };
        arena.add(bound.operand, &words);
    }
    let buffer = gpu.buffer(&arena.words);
    for planned in &launches {
        launch(gpu, planned, &arena, &buffer);
    }
    let after = gpu.read(&buffer).unwrap();
    let [next_label, first_of_class] = [2, 3].map(|binding| {
        let (start, words) = arena.range(last.bindings[binding].operand);
        &after[start..start + words]
    });
    let rows = next_label
        .chunks(longest)
        .zip(first_of_class.chunks(classes));
    for (labels, (next, first)) in items.iter().zip(rows) {
        let (expected_next, expected_first) = expected(labels, classes);
        let name = format!(
            "{} labels of {classes} classes, {lanes} lanes",
            labels.len()
        );
        assert!(next[..labels.len()] == expected_next, "links of {name}");
        assert!(first == expected_first, "first labels of {name}");
    }
}

fn limits() -> DeviceLimits {
    DeviceLimits::default()
        .max_binding(1 << 30)
        .max_buffer(1 << 36)
}

#[test]
fn links_are_those_of_a_hash_map() {
    let classes = 2_000;
    let mut rng = Rng::new(5);
    let mut items = Vec::new();
    for length in [0, 1, 2, 3, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
        // All labels equal, few classes with the blank, many, and all labels different.
        items.push(vec![7; length]);
        for among in [3, 200] {
            items.push((0..length).map(|_| rng.below(among) as i32).collect());
        }
        items.push((0..length).map(|i| (i * 1_237 % classes) as i32).collect());
    }
    on_each_device(|gpu| {
        check(gpu, &limits(), classes, &items, [256, 1]);
        check(gpu, &limits().max_invocations(32), classes, &items, [32, 1]);
        check(gpu, &limits().software(true), classes, &items, [8, 1]);
    });
}

#[test]
fn classes_are_cleared_by_a_dispatch_of_its_own_if_there_are_many() {
    let classes = 1_880_000;
    let mut rng = Rng::new(6);
    let mut labels: Vec<_> = (0..CHUNK + 88).map(|_| rng.below(classes) as i32).collect();
    labels.extend([0, classes as i32 - 1].repeat(100));
    let limits = limits().max_invocations(32).max_workgroups(61);
    on_each_device(|gpu| check(gpu, &limits, classes, &[labels.clone()], [32, 2]));
}
