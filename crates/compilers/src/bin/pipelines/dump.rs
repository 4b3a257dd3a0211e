//! Writes the pipelines of the seven shapes' plans, and those of [`further_plans`], to files.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use ctc_wgpu::{
    BatchShape, DeviceLimits, Input, Options, Plan, PlanError, Reduction, RepeatedOutputs, Task,
};
use serde_json::{Value, json};

use ctc_wgpu_bench_support::seeded::SHAPES;
use ctc_wgpu_compilers::case::Case;
use ctc_wgpu_compilers::module::{Kind, Module};
use ctc_wgpu_compilers::to_hlsl;
use ctc_wgpu_compilers::to_spirv::{self, ROBUST};

/// The subgroup sizes that plans differ by: 32 on NVIDIA, none where wgpu reports a range of sizes
/// (AMD RDNA, Intel, Apple, Adreno), and 64 on AMD GCN.
const ADAPTERS: [(&str, u32); 3] = [("nvidia", 32), ("none", 0), ("amd64", 64)];

const TASKS: [Task; 3] = [Task::LossAndGrad, Task::Align, Task::Greedy];

/// Writes the pipelines and their index.
pub(crate) fn dump(folder: &Path) -> Result<(), Box<dyn Error>> {
    std::fs::create_dir_all(folder)?;
    let mut plans = Vec::new();
    let mut pipelines = BTreeMap::new();
    for (adapter, subgroup) in ADAPTERS {
        for [frames, items, classes, labels] in SHAPES {
            let shape = BatchShape::new(items, frames, classes, labels);
            for task in TASKS {
                let plan = Plan::new(&shape, &Options::default(), task, &limits(subgroup))?;
                let cases: Vec<_> = cases(&plan).collect();
                plans.push(json!({
                    "adapter": adapter,
                    "shape": [frames, items, classes, labels],
                    "task": format!("{task:?}"),
                    "text": plan.to_string(),
                    "pipelines": cases.iter().map(name).collect::<Vec<_>>(),
                }));
                for case in cases {
                    pipelines.insert(name(&case), (case, subgroup));
                }
            }
        }
    }
    for plan in further_plans()? {
        pipelines.extend(cases(&plan).map(|case| (name(&case), (case, 0))));
    }
    let pipelines: Vec<_> = pipelines
        .iter()
        .map(|(name, (case, subgroup))| write(folder, name, case, *subgroup))
        .collect::<Result<_, _>>()?;
    let index = json!({
        "vulkan": ROBUST.vulkan,
        "plans": plans,
        "pipelines": pipelines,
    });
    std::fs::write(
        folder.join("index.json"),
        serde_json::to_string_pretty(&index)?,
    )?;
    Ok(())
}

/// Returns plans with the forms of kernels that the seven shapes do not need but that a plan on a
/// GPU may choose: more labels, no emission table, other inputs and options, and the loss alone.
/// None uses subgroups: with them, a lane exchanges the same values and holds no others. Aliased
/// buffers and gradients in place are left out too, because they change declarations only.
fn further_plans() -> Result<Vec<Plan>, PlanError> {
    use Task::{Align, Loss, LossAndGrad};
    let (desktop, webgpu) = (limits(0), DeviceLimits::default().f16(true));
    let default = Options::default();
    let distinct = default.repeated_outputs(RepeatedOutputs::Distinct);
    // One and two state pairs per lane.
    let one = BatchShape::new(8, 500, 1000, 100);
    let two = BatchShape::new(4, 1500, 1000, 300);
    let two_of_classes = BatchShape::new(4, 1500, 32, 300);
    // The states of this many labels do not fit in registers.
    let long = BatchShape::new(4, 1500, 32, 1100);
    let mut plans = Vec::new();
    let mut add = |limits: &DeviceLimits, shape: &BatchShape, options: &Options, task| {
        Plan::new(shape, options, task, limits).map(|plan| plans.push(plan))
    };
    for task in [LossAndGrad, Align] {
        add(&desktop, &long, &default, task)?;
        for shape in [&one, &two_of_classes] {
            add(&webgpu, shape, &distinct, task)?;
        }
        for shape in [&one, &two] {
            // The input is split into slices: the entries are gathered, and there is no table.
            add(&webgpu.max_binding(1 << 20), shape, &default, task)?;
            add(&webgpu, &shape.f16(), &default, task)?;
        }
    }
    for shape in [&one, &two] {
        // `LogProbsExact` differs in a constant.
        for input in [Input::LogProbs, Input::Probs { epsilon: 1e-7 }] {
            add(&webgpu, shape, &default.input(input), LossAndGrad)?;
        }
    }
    for shape in [&one, &two] {
        add(&webgpu, shape, &default, Loss)?;
    }
    for input in [Input::Logits, Input::Probs { epsilon: 1e-7 }] {
        for labels in [20, 300] {
            // An item is split into segments: there is no table, and the sweeps read the input.
            let shape = BatchShape::new(1, 4000, 8, labels);
            let small = webgpu.max_binding((256 + labels as u64) << 10);
            add(&small, &shape, &default.input(input), LossAndGrad)?;
        }
    }
    // Rows whose gradient `softmax_stats` writes: of whole vectors in the seven shapes, and others.
    let wide = BatchShape::new(8, 150, 5000, 20);
    let uneven = BatchShape::new(8, 150, 5001, 20);
    for shape in [wide.f16(), uneven, uneven.f16()] {
        add(&webgpu, &shape, &default, LossAndGrad)?;
    }
    let weighted = default.reduction(Reduction::MeanWeighted);
    add(
        &webgpu,
        &one.concatenated().time_major(),
        &weighted,
        LossAndGrad,
    )?;
    Ok(plans)
}

/// Returns the limits of a desktop GPU.
fn limits(subgroup: u32) -> DeviceLimits {
    DeviceLimits::default()
        .max_binding(1 << 31)
        .max_buffer(1 << 38)
        .max_workgroups(65_535)
        .max_invocations(1024)
        .workgroup_memory(48 << 10)
        .offset_alignment(32)
        .subgroup_size(subgroup)
}

/// Returns the pipeline of each dispatch.
fn cases(plan: &Plan) -> impl Iterator<Item = Case> {
    plan.shaders().map(|(shader, constants)| Case {
        shader,
        constants: constants.to_vec(),
    })
}

/// Returns a name for files. Constants that are 0 are left out.
fn name(case: &Case) -> String {
    let mut name = case.shader.name.to_owned();
    if case.shader.subgroups {
        name += "-subgroups";
    }
    if case.shader.input_vectors {
        name += "-vectors";
    }
    if case.shader.pairs_per_lane != 4 {
        name += &format!("-pairs{}", case.shader.pairs_per_lane);
    }
    if case.shader.emission_table {
        name += "-table";
    }
    if case.shader.last {
        name += "-last";
    }
    if case.is_f16() {
        name += "-f16";
    }
    for (constant, value) in &case.constants {
        if *value != 0 {
            name += &format!("-{constant}{value}");
        }
    }
    name
}

/// Returns the pipeline without the branches that few or none of the warps enter in the benchmark's
/// batches: NVIDIA's code is judged without them. They are for lanes that have the maximum of a
/// row, for emissions that the emission table cannot hold, and for stars.
fn without_rare_branches(case: &Case) -> Case {
    let branches: &[&str] = match case.shader.name {
        _ if case.shader.emission_table => &[
            "if (any_of(absent) || any(block.blanks == vec4<u32>(NOT_IN_TABLE))) {",
            "if (any_of(labels == Words(NOT_IN_TABLE)) || blank == NOT_IN_TABLE) {",
        ],
        "softmax_stats" => &["if (own_max == row_max) {"],
        "viterbi" | "viterbi_long" => &["if (any_of(group.is_star)) {"],
        _ => &[],
    };
    let mut usual = case.clone();
    for branch in branches {
        assert!(usual.shader.wgsl.contains(branch));
        usual.shader.wgsl = usual.shader.wgsl.replace(branch, "if (false) {");
    }
    usual
}

/// Writes one pipeline. Returns its entry in the index.
fn write(folder: &Path, name: &str, case: &Case, subgroup: u32) -> Result<Value, Box<dyn Error>> {
    let made = Module::of(case);
    let words = to_spirv::translated(case, &made, &ROBUST)?;
    std::fs::write(
        folder.join(format!("{name}.spv")),
        bytemuck::cast_slice(&words),
    )?;
    let usual = without_rare_branches(case);
    let text = to_hlsl::translated(
        &usual,
        &Module::of(&usual),
        to_hlsl::min_shader_model(case),
        true,
    )?;
    std::fs::write(folder.join(format!("{name}.hlsl")), text)?;
    let constants: serde_json::Map<_, _> = case
        .constants
        .iter()
        .map(|(constant, value)| ((*constant).to_owned(), json!(value)))
        .collect();
    let bindings: Vec<_> = made
        .bindings()
        .iter()
        .map(|(at, kind)| json!([at.binding, *kind == Kind::Uniform]))
        .collect();
    Ok(json!({
        "name": name,
        "kernel": case.shader.name,
        "subgroups": case.shader.subgroups,
        // The size that the lanes were chosen for; 0 if the pipeline does not use subgroups.
        "subgroup_size": if case.shader.subgroups { subgroup } else { 0 },
        "constants": constants,
        "bindings": bindings,
    }))
}
