//! What there is to compile: each text with each set of constants that some plan gives to its kernel.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use ctc_wgpu::{
    BatchShape, BlankInLabels, DeviceLimits, Input, Options, Plan, Reduction, RepeatedLabels,
    RepeatedOutputs, Task, shaders,
};

pub(crate) use super::case::Case;

static CASES: LazyLock<Vec<Case>> = LazyLock::new(made);

/// Every text with every set of constants, once.
pub(crate) fn all() -> &'static [Case] {
    &CASES
}

fn made() -> Vec<Case> {
    // Sharing, element and place choose the text and leave the constants as they are; subgroups come with constants of
    // their own.
    let mut constants: HashMap<_, BTreeSet<_>> = HashMap::new();
    for plan in plans() {
        for (shader, values) in plan.shaders() {
            let key = (shader.name, shader.subgroups);
            constants.entry(key).or_default().insert(values.to_vec());
        }
    }
    let cases: Vec<_> = shaders()
        .flat_map(|shader| {
            let sets = constants.get(&(shader.name, shader.subgroups));
            let sets = sets.unwrap_or_else(|| panic!("no plan runs {shader:?}"));
            sets.iter().map(move |constants| Case {
                shader: shader.clone(),
                constants: constants.clone(),
            })
        })
        .collect();
    println!("{} pipelines of {} texts", cases.len(), shaders().count());
    cases
}

/// Plans that differ in what is compiled for them.
fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for limits in limits() {
        // How many lanes share a row is the same code whatever is computed, so a few adapters will do for what is not a loss.
        let decodes = [0, 32].contains(&limits.subgroup_size) && !limits.software;
        let tasks = if decodes {
            vec![Task::Loss, Task::LossAndGrad, Task::Align, Task::Greedy]
        } else {
            vec![Task::Loss, Task::LossAndGrad]
        };
        for shape in shapes() {
            for options in options() {
                for task in &tasks {
                    plans.push(Plan::new(&shape, &options, *task, &limits).unwrap());
                }
            }
        }
    }
    plans
}

/// What adapters give: the defaults, narrow workgroups, subgroups of SwiftShader's, llvmpipe's, NVIDIA's and AMD's size, a
/// software adapter, a sweep that finds no room, bindings that hold little.
fn limits() -> Vec<DeviceLimits> {
    let default = DeviceLimits::default();
    let lanes = |max_invocations| default.max_invocations(max_invocations);
    let mut limits = vec![
        default,
        lanes(32),
        default.max_register_quads(0),
        default.max_binding(1 << 21),
    ];
    for subgroup in [4, 8, 32, 64] {
        limits.push(default.subgroup_size(subgroup));
    }
    for subgroup in [0, 8] {
        limits.push(default.subgroup_size(subgroup).software(true));
    }
    limits
}

/// Few and many classes, short and long labels, both orders.
fn shapes() -> Vec<BatchShape> {
    vec![
        BatchShape::new(4, 50, 20, 6),
        BatchShape::new(4, 50, 20, 6).concatenated().time_major(),
        BatchShape::new(2, 60, 5_000, 25),
        BatchShape::new(2, 300, 100, 120),
        BatchShape::new(1, 900, 300, 400),
        BatchShape::new(1, 3_000, 20, 1_300),
    ]
}

/// Each choice that a pipeline is specialised for.
fn options() -> Vec<Options> {
    let default = Options::default();
    let input = |input| default.input(input);
    let reduction = |reduction| default.reduction(reduction);
    vec![
        default,
        input(Input::LogProbs),
        input(Input::LogProbsExact),
        input(Input::Probs { epsilon: 1e-7 }),
        reduction(Reduction::MeanBatch),
        reduction(Reduction::MeanLabel),
        reduction(Reduction::MeanVolume),
        reduction(Reduction::MeanWeighted),
        default
            .impossible(ctc_wgpu::Impossible::Zero)
            .blank_in_labels(BlankInLabels::Allow)
            .repeated_labels(RepeatedLabels::Collapse)
            .repeated_outputs(RepeatedOutputs::Distinct),
    ]
}
