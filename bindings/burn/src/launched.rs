//! Burn's own launches of our kernels, for wgpu devices whose handles nobody told: one dispatch after the other, each a text
//! in which the batch's sizes are constants. The workspace is Burn's memory, taken anew for each batch.

use std::sync::Arc;

use burn_cubecl::tensor::CubeTensor;
use ctc_wgpu::{Bound, Error, Launch, Limits, Operand, Plan};
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
    let handle = |operand| match operand {
        Operand::Logits => of(&work.logits),
        Operand::Labels => of(&work.labels[0]),
        Operand::LogitLengths => of(&work.labels[1]),
        Operand::LabelLengths => of(&work.labels[2]),
        Operand::Weights => weights.clone(),
        Operand::Loss => of(&work.loss),
        Operand::Status => status.clone(),
        Operand::Grad => of(work.grad.as_ref().unwrap_or(&work.loss)),
        Operand::Table(number) => tables[number].clone(),
        // Nothing else is bound of a batch that is not reduced.
        _ => reduced.clone(),
    };
    for launch in &plan.launches {
        let bindings = launch.bindings.iter();
        let buffers = bindings.map(|bound| part(handle(bound.operand), bound).binding());
        let [x, y, z] = launch.grid;
        client.launch(
            Box::new(Kernel(Arc::clone(launch))),
            CubeCount::Static(x, y, z),
            KernelArguments::new().with_buffers(buffers.collect()),
        );
    }
    Ok(())
}

fn plan(work: &Work) -> Result<Arc<Planned>, Error> {
    let key = work.key;
    let options = key.rules.options();
    let plan = Plan::new(&key.shape, &options, key.goal, &Limits::default())?;
    Ok(Arc::new(Planned {
        tables: plan.tables().collect(),
        launches: plan.launches().map(Arc::new).collect(),
    }))
}

fn of(tensor: &CubeTensor) -> Handle {
    tensor.handle.clone()
}

/// What a launch binds of an operand.
fn part(handle: Handle, bound: &Bound) -> Handle {
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
