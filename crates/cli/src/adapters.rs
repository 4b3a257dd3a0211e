//! `ctc-wgpu adapters`: lists the adapters and the limits on which plans depend.

use clap::Args;
use ctc_wgpu::Error;
use serde_json::{Value, json};

use crate::format::{self, Outcome};

#[derive(Debug, Args)]
pub(crate) struct AdaptersArgs {
    /// Print the list as one JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &AdaptersArgs) -> Outcome {
    let adapters = ctc_wgpu::adapters();
    if args.json {
        let adapters: Vec<Value> = adapters.iter().map(json).collect();
        return Outcome::json(&json!({ "adapters": adapters }), true);
    }
    let text = if adapters.is_empty() {
        format!(
            "{}\nOn Debian or Ubuntu, `apt-get install mesa-vulkan-drivers` installs a software driver.\n",
            Error::no_adapter(None)
        )
    } else {
        let header = [
            "name",
            "backend",
            "type",
            "driver",
            "binding",
            "workgroup memory",
            "invocations",
            "subgroup",
            "f16",
        ];
        format::table(&header, adapters.iter().map(row).collect(), &[0, 1, 2, 3])
    };
    Outcome { text, passed: true }
}

fn row(adapter: &wgpu::Adapter) -> Vec<String> {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let (low, high) = (info.subgroup_min_size, info.subgroup_max_size);
    vec![
        info.name,
        info.backend.to_string(),
        type_name(info.device_type).to_owned(),
        format!("{} {}", info.driver, info.driver_info)
            .trim()
            .to_owned(),
        format::bytes(limits.max_storage_buffer_binding_size),
        format::bytes(limits.max_compute_workgroup_storage_size.into()),
        limits.max_compute_invocations_per_workgroup.to_string(),
        match adapter.features().contains(wgpu::Features::SUBGROUP) {
            true if low == high => low.to_string(),
            true => format!("{low}–{high}"),
            false => "none".to_owned(),
        },
        yes_no(has_f16(adapter)).to_owned(),
    ]
}

fn json(adapter: &wgpu::Adapter) -> Value {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    json!({
        "name": info.name,
        "backend": info.backend.to_string(),
        "type": type_name(info.device_type),
        "driver": info.driver,
        "driver_info": info.driver_info,
        "max_binding_bytes": limits.max_storage_buffer_binding_size,
        "max_buffer_bytes": limits.max_buffer_size,
        "workgroup_memory_bytes": limits.max_compute_workgroup_storage_size,
        "invocations_per_workgroup": limits.max_compute_invocations_per_workgroup,
        "subgroups": adapter.features().contains(wgpu::Features::SUBGROUP),
        "subgroup_min": info.subgroup_min_size,
        "subgroup_max": info.subgroup_max_size,
        "f16": has_f16(adapter),
    })
}

fn has_f16(adapter: &wgpu::Adapter) -> bool {
    adapter.features().contains(wgpu::Features::SHADER_F16)
}

fn yes_no(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}

pub(crate) fn type_name(kind: wgpu::DeviceType) -> &'static str {
    match kind {
        wgpu::DeviceType::IntegratedGpu => "integrated",
        wgpu::DeviceType::DiscreteGpu => "discrete",
        wgpu::DeviceType::VirtualGpu => "virtual",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}
