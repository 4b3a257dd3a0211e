//! Parses and validates a case with naga and replaces the overrides with its constants, as wgpu
//! does.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use naga::valid::{Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet};
use naga::valid::{ValidationFlags, Validator};

use super::case::Case;

/// A module without overrides: the input of a backend of naga.
pub struct Module {
    /// The module.
    pub module: naga::Module,
    /// The result of its validation.
    pub info: ModuleInfo,
}

/// The parsed and validated sources: a few dozen for more than a thousand cases.
static SOURCES: LazyLock<Mutex<HashMap<String, Arc<Module>>>> = LazyLock::new(Mutex::default);

impl Module {
    /// Returns the module of a case.
    ///
    /// # Panics
    /// If the source is not valid.
    #[must_use]
    pub fn of(case: &Case) -> Self {
        let source = Self::of_source(case);
        let constants = case
            .constants
            .iter()
            .map(|(name, value)| ((*name).to_owned(), f64::from(*value)))
            .collect();
        let entry = Some((naga::ShaderStage::Compute, case.shader.name));
        let (module, info) = naga::back::pipeline_constants::process_overrides(
            &source.module,
            &source.info,
            entry,
            &constants,
        )
        .unwrap_or_else(|error| panic!("{}: {error}", case.name()));
        Self {
            module: module.into_owned(),
            info: info.into_owned(),
        }
    }

    /// Returns the module of the case's source, with its overrides.
    fn of_source(case: &Case) -> Arc<Self> {
        let wgsl = &case.shader.wgsl;
        let mut sources = SOURCES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(parsed) = sources.get(&**wgsl) {
            return Arc::clone(parsed);
        }
        let mut capabilities = Capabilities::empty();
        if case.is_f16() {
            capabilities |= Capabilities::SHADER_FLOAT16 | Capabilities::SHADER_FLOAT16_IN_FLOAT32;
        }
        if case.shader.subgroups {
            capabilities |= Capabilities::SUBGROUP;
        }
        let module = naga::front::wgsl::parse_str(wgsl)
            .unwrap_or_else(|error| panic!("{}: {}", case.name(), error.emit_to_string(wgsl)));
        let info = Validator::new(ValidationFlags::all(), capabilities)
            .subgroup_stages(ShaderStages::COMPUTE)
            .subgroup_operations(SubgroupOperationSet::all())
            .validate(&module)
            .unwrap_or_else(|error| panic!("{}: {}", case.name(), error.emit_to_string(wgsl)));
        let parsed = Arc::new(Self { module, info });
        sources.insert(wgsl.to_string(), Arc::clone(&parsed));
        parsed
    }

    /// Returns the bindings with their kinds.
    pub fn bindings(&self) -> Vec<(naga::ResourceBinding, Kind)> {
        let globals = self.module.global_variables.iter();
        globals
            .filter_map(|(_, global)| {
                let kind = match global.space {
                    naga::AddressSpace::Uniform => Kind::Uniform,
                    naga::AddressSpace::Storage { access }
                        if access.contains(naga::StorageAccess::STORE) =>
                    {
                        Kind::Written
                    }
                    _ => Kind::Read,
                };
                Some((global.binding?, kind))
            })
            .collect()
    }
}

/// The kind of a binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The uniform of a dispatch.
    Uniform,
    /// A storage buffer that is only read.
    Read,
    /// A storage buffer that is written.
    Written,
}
