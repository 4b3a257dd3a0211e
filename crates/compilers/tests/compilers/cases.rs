//! The pipelines to compile: each source variant with each set of constants that some plan sets for
//! its kernel. If the caller's arrays share a buffer, with one of them; for f16, with those that
//! differ in a constant of `F16_CONSTANTS`.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use ctc_wgpu::{
    BatchShape, BlankInLabels, DeviceLimits, ElementType, Input, Options, Plan, Reduction,
    RepeatedLabels, RepeatedOutputs, Shader, Task, shaders,
};

pub(crate) use ctc_wgpu_compilers::case::Case;

/// The constants that select code which reads entries of the input, or writes gradients.
const F16_CONSTANTS: [&str; 7] = [
    "INPUT",
    "WRITE_GATHERED",
    "READ_GATHERED",
    "GREEDY",
    "OUTWARD",
    "ROW_VECTORS",
    "OF_LABELS",
];

static CASES: LazyLock<Vec<Case>> = LazyLock::new(distinct_cases);

/// Returns every source variant with its sets of constants, each once.
pub(crate) fn all() -> &'static [Case] {
    &CASES
}

fn distinct_cases() -> Vec<Case> {
    // Aliasing, element type and in-place gradients select the source but do not change the
    // constants. Subgroups, vectors of the input, a gradient of rows and the form of a sweep do.
    let key = |shader: &Shader| {
        let form = (shader.pairs_per_lane, shader.emission_table, shader.last);
        let rows = (shader.input_vectors, shader.row_gradient);
        (shader.name, shader.subgroups, rows, form)
    };
    let mut constants: HashMap<_, BTreeSet<_>> = HashMap::new();
    for plan in plans() {
        for (shader, values) in plan.shaders() {
            constants
                .entry(key(&shader))
                .or_default()
                .insert(values.to_vec());
        }
    }
    let cases: Vec<_> = shaders()
        .flat_map(|shader| {
            let sets = constants.get(&key(&shader));
            let sets = sets.unwrap_or_else(|| panic!("no plan runs {shader:?}"));
            let f16 = shader.element == ElementType::F16;
            // Aliasing changes only how arrays are declared, so one set of constants suffices. f16
            // changes how entries are read and gradients are written.
            let mut kinds = BTreeSet::new();
            let sets = sets.iter().filter(move |constants| {
                let kind: Vec<_> = constants
                    .iter()
                    .filter(|(name, _)| !shader.aliased && F16_CONSTANTS.contains(name))
                    .collect();
                !(shader.aliased || f16) || kinds.insert(kind)
            });
            sets.map(move |constants| Case {
                shader: shader.clone(),
                constants: constants.clone(),
            })
        })
        .collect();
    println!("{} pipelines of {} sources", cases.len(), shaders().count());
    cases
}

/// Returns plans that compile different pipelines.
fn plans() -> Vec<Plan> {
    let mut plans = Vec::new();
    for limits in limits() {
        // How lanes share a row does not depend on the task, so a few adapters suffice for tasks
        // other than the loss.
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
    for limits in sweep_forms() {
        for shape in shapes().iter().filter(|shape| shape.max_labels <= 400) {
            for options in [Options::default(), distinct()] {
                for task in [Task::LossAndGrad, Task::Align] {
                    plans.push(Plan::new(shape, &options, task, &limits).unwrap());
                }
            }
        }
    }
    plans
}

/// Returns limits that force each form of a recursion: each number of pairs per lane, with and
/// without the emission table, which no plan has if it gathers entries, and with and without
/// subgroups.
fn sweep_forms() -> Vec<DeviceLimits> {
    let mut limits = Vec::new();
    for pairs in [1, 2, 4] {
        for subgroup in [0, 32] {
            let forced = DeviceLimits::default()
                .pairs_per_lane(pairs)
                .subgroup_size(subgroup);
            limits.extend([forced, forced.max_binding(1 << 20)]);
        }
    }
    limits
}

/// Returns the limits of adapters: the defaults; narrow workgroups; no room for a sweep in
/// registers; small bindings; the subgroup sizes of SwiftShader, llvmpipe, NVIDIA and AMD; software
/// adapters.
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

/// Returns shapes with few and many classes, short and long labels, rows with and without whole
/// vectors, and both layouts of labels and of the input.
fn shapes() -> Vec<BatchShape> {
    vec![
        BatchShape::new(4, 50, 20, 6),
        BatchShape::new(4, 50, 21, 6).concatenated().time_major(),
        BatchShape::new(2, 60, 5_000, 25),
        BatchShape::new(2, 60, 1_003, 12),
        BatchShape::new(2, 300, 100, 120),
        BatchShape::new(1, 900, 300, 400),
        BatchShape::new(1, 3_000, 20, 1_300),
    ]
}

/// Returns every option that pipelines are specialised for.
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
        distinct(),
    ]
}

fn distinct() -> Options {
    Options::default()
        .impossible(ctc_wgpu::Impossible::Zero)
        .blank_in_labels(BlankInLabels::Allow)
        .repeated_labels(RepeatedLabels::Collapse)
        .repeated_outputs(RepeatedOutputs::Distinct)
}
