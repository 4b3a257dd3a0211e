//! Burn's own launches of our kernels, for wgpu devices whose handles nobody told: one dispatch after the other, each a text
//! in which the batch's sizes are constants. The workspace is Burn's memory, taken anew for each batch.

use std::sync::Arc;

use burn_cubecl::tensor::CubeTensor;
use ctc_wgpu::{BoundRange, DeviceLimits, Error, Launch, Operand, Plan};
use cubecl::client::Client;
use cubecl::ir::{ElemType, UIntKind};
use cubecl::prelude::{
    AddressType, ExecutionMode, KernelDefinition, KernelId, KernelMetadata, KernelSettings, Scope,
};
use cubecl::server::{Handle, KernelArguments};
use cubecl::{CubeCount, CubeDim, CubeKernel, PrecompiledSource};

use crate::cube::{Plans, Work};

/// Whether the device's runtime takes WGSL. Browsers do, but let no barrier depend on what these texts read.
pub(crate) fn can(client: &Client) -> bool {
    client.name() == "wgpu<wgsl>" && !cfg!(target_family = "wasm")
}

/// A plan's dispatches.
struct Planned {
    tables: Vec<u64>,
    launches: Vec<Arc<Launch>>,
}

/// They do not tell devices apart: all are within WebGPU's default limits.
static PLANS: Plans<Arc<Planned>> = Plans::new();

/// # Errors
/// If the shape passes what a plan can cut.
pub(crate) fn run(work: &Work) -> Result<(), Error> {
    let plan = PLANS.get(work.key, || plan(work))?;
    let client = &work.logits.client;
    let words = |count: usize| client.empty(count.max(1) * 4);
    let items = work.key.shape.items;
    let ones: Vec<_> = std::iter::repeat_n(1.0_f32.to_ne_bytes(), items)
        .flatten()
        .collect();
    let weights = client.create_from_slice(&ones);
    let (status, reduced) = (words(items), words(1));
    let tables: Vec<_> = plan
        .tables
        .iter()
        .map(|bytes| client.empty(usize::try_from(*bytes).unwrap_or(usize::MAX)))
        .collect();
    let operands = Operands {
        logits: of(&work.logits),
        labels: work.labels.each_ref().map(of),
        weights,
        loss: of(&work.loss),
        status,
        reduced,
        grad: work.grad.as_ref().map(of),
        tables,
    };
    // All of them before the first launch: a batch is computed whole or not at all.
    let bound: Vec<Vec<_>> = (plan.launches.iter())
        .map(|launch| operands.bound(launch, part))
        .collect::<Result<_, _>>()?;
    for (launch, handles) in plan.launches.iter().zip(bound) {
        let buffers = handles.into_iter().map(Handle::binding);
        let [x, y, z] = launch.grid;
        client.launch(
            Box::new(Kernel(Arc::clone(launch))),
            CubeCount::Static(x, y, z),
            KernelArguments::new().with_buffers(buffers.collect()),
        );
    }
    Ok(())
}

/// What a loss's launches bind.
struct Operands<H> {
    logits: H,
    /// Targets, input lengths, target lengths.
    labels: [H; 3],
    weights: H,
    loss: H,
    status: H,
    reduced: H,
    grad: Option<H>,
    tables: Vec<H>,
}

impl<H: Clone> Operands<H> {
    /// The parts that a launch binds, in its order.
    fn bound(&self, launch: &Launch, part: impl Fn(H, &BoundRange) -> H) -> Result<Vec<H>, Error> {
        let bind = |bound: &BoundRange| match self.get(bound.operand) {
            Some(handle) => Ok(part(handle.clone(), bound)),
            // Any other buffer in its place would be read or overwritten in silence.
            None => Err(Error::gpu(
                format!("binding the buffers of kernel `{}`", launch.name),
                format!("the loss for Burn has no buffer for {:?}", bound.operand),
            )),
        };
        launch.bindings.iter().map(bind).collect()
    }

    fn get(&self, operand: Operand) -> Option<&H> {
        let [targets, input_lengths, target_lengths] = &self.labels;
        match operand {
            Operand::Logits => Some(&self.logits),
            Operand::Labels => Some(targets),
            Operand::LogitLengths => Some(input_lengths),
            Operand::LabelLengths => Some(target_lengths),
            Operand::Weights => Some(&self.weights),
            Operand::Loss => Some(&self.loss),
            Operand::Status => Some(&self.status),
            Operand::Reduced => Some(&self.reduced),
            Operand::Grad => self.grad.as_ref(),
            Operand::Table(number) => self.tables.get(number),
            // Those of alignments and readings, and those that later versions of the library add.
            _ => None,
        }
    }
}

fn plan(work: &Work) -> Result<Arc<Planned>, Error> {
    let key = work.key;
    let options = key.rules.options();
    let plan = Plan::new(&key.shape, &options, key.task, &DeviceLimits::default())?;
    Ok(Arc::new(Planned {
        tables: plan.tables().collect(),
        launches: plan.launches().map(Arc::new).collect(),
    }))
}

fn of(tensor: &CubeTensor) -> Handle {
    tensor.handle.clone()
}

/// What a launch binds of an operand.
fn part(handle: Handle, bound: &BoundRange) -> Handle {
    let rest = handle.size_in_used().saturating_sub(bound.offset);
    let past = rest - bound.bytes.unwrap_or(rest).min(rest);
    match (bound.offset, past) {
        (0, 0) => handle,
        (offset, past) => handle.offset_start(offset).offset_end(past),
    }
}

/// A launch as Burn's runtime takes it. Its text tells it from all others.
struct Kernel(Arc<Launch>);

impl Kernel {
    fn dim(&self) -> CubeDim {
        let [x, y, z] = self.0.workgroup_size;
        CubeDim::new_3d(x, y, z)
    }
}

impl KernelMetadata for Kernel {
    fn id(&self) -> KernelId {
        KernelId::new::<Self>()
            .cube_dim(self.dim().into())
            .info(self.0.wgsl.clone())
    }

    fn address_type(&self) -> ElemType {
        ElemType::UInt(UIntKind::U32)
    }
}

impl CubeKernel for Kernel {
    fn define(&self) -> KernelDefinition {
        let settings =
            KernelSettings::new(self.dim().into(), ExecutionMode::Checked, AddressType::U32);
        KernelDefinition {
            body: Scope::root(settings.clone()),
            settings,
            info: Default::default(),
        }
    }

    fn source(&self) -> Option<PrecompiledSource> {
        Some(PrecompiledSource {
            source: self.0.wgsl.clone(),
            entrypoint_name: self.0.name.into(),
            lang: "wgsl",
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::expect_used, reason = "a test that panics has failed")]

    use super::*;
    use ctc_wgpu::{BatchShape, Options, Task};

    /// Names in place of buffers.
    fn operands(tables: usize, grad: bool) -> Operands<String> {
        Operands {
            logits: "logits".into(),
            labels: ["targets", "input lengths", "target lengths"].map(str::to_owned),
            weights: "weights".into(),
            loss: "loss".into(),
            status: "status".into(),
            reduced: "reduced".into(),
            grad: grad.then(|| "grad".into()),
            tables: (0..tables)
                .map(|number| format!("table {number}"))
                .collect(),
        }
    }

    fn plan(task: Task) -> Plan {
        let shape = BatchShape::new(2, 6, 4, 2);
        Plan::new(&shape, &Options::default(), task, &DeviceLimits::default()).expect("a plan")
    }

    fn bind(operands: &Operands<String>, plan: &Plan) -> Result<Vec<Vec<String>>, Error> {
        let same = |handle, _: &BoundRange| handle;
        plan.launches()
            .map(|launch| operands.bound(&launch, same))
            .collect()
    }

    #[test]
    fn each_operand_of_a_loss_has_its_own_buffer() {
        let plan = plan(Task::LossAndGrad);
        let operands = operands(plan.tables().count(), true);
        let bound = bind(&operands, &plan).expect("all operands of a loss are known");
        for (launch, names) in plan.launches().zip(bound) {
            for (bound, name) in launch.bindings.iter().zip(names) {
                let expected = match bound.operand {
                    Operand::Labels => "targets".into(),
                    Operand::LogitLengths => "input lengths".into(),
                    Operand::LabelLengths => "target lengths".into(),
                    Operand::Table(number) => format!("table {number}"),
                    other => format!("{other:?}").to_lowercase(),
                };
                assert_eq!(name, expected);
            }
        }
    }

    #[test]
    fn an_operand_that_is_not_known_is_an_error_and_no_other_buffer() {
        let tables = |task| plan(task).tables().count();
        for (operands, task, named) in [
            (operands(99, true), Task::Align, "Path"),
            (operands(99, true), Task::Greedy, "Read"),
            (operands(99, false), Task::LossAndGrad, "Grad"),
            (operands(tables(Task::Loss) - 1, false), Task::Loss, "Table"),
        ] {
            let error = bind(&operands, &plan(task)).expect_err(named).to_string();
            assert!(
                error.contains("no buffer for") && error.contains(named),
                "{error}"
            );
        }
    }
}
