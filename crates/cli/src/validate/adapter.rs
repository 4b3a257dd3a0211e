//! Describes an adapter: its driver, limits and features.

use ctc_wgpu_conformance::suite::Subject;

use crate::adapters::type_name;
use crate::format;

/// The version of wgpu, for the report. A test compares it with the lock file.
pub(super) const WGPU: &str = "30.0.1";

#[derive(Debug, Clone)]
pub(super) struct AdapterInfo {
    pub(super) name: String,
    pub(super) backend: String,
    pub(super) kind: &'static str,
    pub(super) driver: String,
    /// The limits that plans depend on, as pairs of a name and a value.
    pub(super) limits: Vec<(&'static str, String)>,
    pub(super) features: Vec<String>,
}

impl AdapterInfo {
    pub(super) fn of(adapter: &wgpu::Adapter) -> Self {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let subgroups = match (info.subgroup_min_size, info.subgroup_max_size) {
            (min, max) if min == max => min.to_string(),
            (min, max) => format!("{min} to {max}"),
        };
        let features = adapter.features();
        Self {
            backend: info.backend.to_string(),
            kind: type_name(info.device_type),
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            limits: vec![
                (
                    "binding",
                    format::bytes(limits.max_storage_buffer_binding_size),
                ),
                ("buffer", format::bytes(limits.max_buffer_size)),
                (
                    "storage buffers per stage",
                    limits.max_storage_buffers_per_shader_stage.to_string(),
                ),
                (
                    "workgroups per dimension",
                    limits.max_compute_workgroups_per_dimension.to_string(),
                ),
                (
                    "invocations per workgroup",
                    limits.max_compute_invocations_per_workgroup.to_string(),
                ),
                (
                    "workgroup memory",
                    format::bytes(limits.max_compute_workgroup_storage_size.into()),
                ),
                (
                    "offset alignment",
                    limits.min_storage_buffer_offset_alignment.to_string(),
                ),
                ("subgroup", subgroups),
                (
                    "PCI vendor, device",
                    format!("{:#06x}, {:#06x}", info.vendor, info.device),
                ),
            ],
            features: features
                .iter_names()
                .map(|(name, _)| name.to_owned())
                .collect(),
            name: info.name,
        }
    }

    pub(super) fn cpu(cpu: &Subject) -> Self {
        Self {
            name: cpu.backend().to_string(),
            backend: "cpu".to_owned(),
            kind: "cpu",
            driver: String::new(),
            limits: Vec::new(),
            features: Vec::new(),
        }
    }

    /// Returns name, graphics API and driver.
    pub(super) fn line(&self) -> String {
        let parts = [&self.name, &self.backend, &self.driver];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        match self.kind {
            "cpu" => self.name.clone(),
            _ => parts
                .iter()
                .map(|part| part.as_str())
                .collect::<Vec<_>>()
                .join(", "),
        }
    }
}
