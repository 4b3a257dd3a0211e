//! Launches the kernels through Burn's runtime, for wgpu devices that are not registered.
//!
//! Each dispatch of a plan becomes one launch, whose shader source contains the sizes of the batch
//! as constants. The workspace is allocated from Burn's memory for each batch.

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

use crate::cube_backend::{BatchTensors, PlanCache};

/// Returns true if the device's runtime accepts the kernels.
///
/// Burn's WGSL runtime does, except in a browser: Burn binds all buffers as `read_write`, and a
/// browser rejects a barrier whose control flow depends on a value from such a buffer.
pub(crate) fn supports(client: &Client) -> bool {
    client.name() == "wgpu<wgsl>" && !cfg!(target_family = "wasm")
}

/// The launches of a plan, and the sizes of its workspace arrays in bytes.
struct LaunchPlan {
    workspace: Vec<u64>,
    launches: Vec<Arc<Launch>>,
}

/// Shared by all devices: the plans use only WebGPU's default limits.
static PLANS: PlanCache<Arc<LaunchPlan>> = PlanCache::new();

/// Launches the kernels of a batch.
///
/// # Errors
/// If the batch exceeds WebGPU's default limits and cannot be split.
pub(crate) fn run(batch: &BatchTensors) -> Result<(), Error> {
    let plan = PLANS.get(batch.key, || plan(batch))?;
    let client = &batch.logits.client;
    let array = |count: usize| client.empty(count.max(1) * 4);
    let items = batch.key.shape.items;
    let ones: Vec<_> = std::iter::repeat_n(1.0_f32.to_ne_bytes(), items)
        .flatten()
        .collect();
    let weights = client.create_from_slice(&ones);
    let (status, reduced) = (array(items), array(1));
    let workspace: Vec<_> = plan
        .workspace
        .iter()
        .map(|bytes| client.empty(usize::try_from(*bytes).unwrap_or(usize::MAX)))
        .collect();
    let operands = Operands {
        logits: handle(&batch.logits),
        labels: batch.labels.each_ref().map(handle),
        weights,
        loss: handle(&batch.loss),
        status,
        reduced,
        grad: batch.grad.as_ref().map(handle),
        workspace,
    };
    // Every launch is bound before the first one starts, so an error leaves nothing half computed.
    let bound: Vec<Vec<_>> = (plan.launches.iter())
        .map(|launch| operands.bind(launch, range))
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

/// The buffers that the launches of a loss bind.
struct Operands<H> {
    logits: H,
    /// Targets, input lengths, target lengths.
    labels: [H; 3],
    weights: H,
    loss: H,
    status: H,
    reduced: H,
    grad: Option<H>,
    workspace: Vec<H>,
}

impl<H: Clone> Operands<H> {
    /// Returns the buffer ranges that a launch binds, in the order of its bindings.
    fn bind(&self, launch: &Launch, range: impl Fn(H, &BoundRange) -> H) -> Result<Vec<H>, Error> {
        let bind = |bound: &BoundRange| match self.get(bound.operand) {
            Some(handle) => Ok(range(handle.clone(), bound)),
            // Binding any other buffer would silently read or overwrite it.
            None => Err(Error::gpu(
                format!("binding the buffers of kernel `{}`", launch.name),
                format!("ctc-wgpu-burn has no buffer for {:?}", bound.operand),
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
            Operand::Workspace(number) => self.workspace.get(number),
            // The operands of alignment and greedy decoding, and those of later library versions.
            _ => None,
        }
    }
}

fn plan(batch: &BatchTensors) -> Result<Arc<LaunchPlan>, Error> {
    let key = batch.key;
    let options = key.options.to_core();
    let plan = Plan::new(&key.shape, &options, key.task, &DeviceLimits::default())?;
    Ok(Arc::new(LaunchPlan {
        workspace: plan.workspace_arrays().collect(),
        launches: plan.launches().map(Arc::new).collect(),
    }))
}

fn handle(tensor: &CubeTensor) -> Handle {
    tensor.handle.clone()
}

/// Returns the range of a buffer that a launch binds.
fn range(handle: Handle, bound: &BoundRange) -> Handle {
    let rest = handle.size_in_used().saturating_sub(bound.offset);
    let past = rest - bound.bytes.unwrap_or(rest).min(rest);
    match (bound.offset, past) {
        (0, 0) => handle,
        (offset, past) => handle.offset_start(offset).offset_end(past),
    }
}

/// A launch as a kernel of Burn's runtime, which caches compiled kernels by their source.
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
    #![allow(clippy::expect_used, reason = "a test that cannot continue fails")]

    use super::*;
    use ctc_wgpu::{BatchShape, Options, Task};

    /// Operands with names instead of buffers.
    fn operands(workspace: usize, grad: bool) -> Operands<String> {
        Operands {
            logits: "logits".into(),
            labels: ["targets", "input lengths", "target lengths"].map(str::to_owned),
            weights: "weights".into(),
            loss: "loss".into(),
            status: "status".into(),
            reduced: "reduced".into(),
            grad: grad.then(|| "grad".into()),
            workspace: (0..workspace)
                .map(|number| format!("workspace {number}"))
                .collect(),
        }
    }

    fn plan(task: Task) -> Plan {
        let shape = BatchShape::new(2, 6, 4, 2);
        Plan::new(&shape, &Options::default(), task, &DeviceLimits::default()).expect("a plan")
    }

    fn bind_all(operands: &Operands<String>, plan: &Plan) -> Result<Vec<Vec<String>>, Error> {
        let same = |handle, _: &BoundRange| handle;
        plan.launches()
            .map(|launch| operands.bind(&launch, same))
            .collect()
    }

    #[test]
    fn each_operand_of_a_loss_has_its_own_buffer() {
        let plan = plan(Task::LossAndGrad);
        let operands = operands(plan.workspace_arrays().count(), true);
        let bound = bind_all(&operands, &plan).expect("a buffer for every operand of a loss");
        for (launch, names) in plan.launches().zip(bound) {
            for (bound, name) in launch.bindings.iter().zip(names) {
                let expected = match bound.operand {
                    Operand::Labels => "targets".into(),
                    Operand::LogitLengths => "input lengths".into(),
                    Operand::LabelLengths => "target lengths".into(),
                    Operand::Workspace(number) => format!("workspace {number}"),
                    other => format!("{other:?}").to_lowercase(),
                };
                assert_eq!(name, expected);
            }
        }
    }

    #[test]
    fn an_operand_without_a_buffer_is_an_error() {
        let workspace = |task| plan(task).workspace_arrays().count();
        for (operands, task, named) in [
            (operands(99, true), Task::Align, "Path"),
            (operands(99, true), Task::Greedy, "Hypothesis"),
            (operands(99, false), Task::LossAndGrad, "Grad"),
            (
                operands(workspace(Task::Loss) - 1, false),
                Task::Loss,
                "Workspace",
            ),
        ] {
            let error = bind_all(&operands, &plan(task))
                .expect_err(named)
                .to_string();
            assert!(
                error.contains("no buffer for") && error.contains(named),
                "{error}"
            );
        }
    }
}
