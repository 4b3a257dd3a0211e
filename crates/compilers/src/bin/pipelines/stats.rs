//! Compiles pipelines with a Vulkan driver, from the files that `dump` writes.

use std::error::Error;
use std::path::Path;

use serde_json::{Map, Value, json};

use ctc_wgpu_compilers::vulkan::{Buffer, Compiler, Executable, Value as Figure};

/// Prints one line for the device, and one per pipeline.
pub(crate) fn stats(folder: &Path, names: &[&str]) -> Result<(), Box<dyn Error>> {
    let index: Value = serde_json::from_slice(&std::fs::read(folder.join("index.json"))?)?;
    let pipelines = index["pipelines"].as_array().ok_or("no pipelines")?;
    let compiler = Compiler::open()?;
    let about = compiler.about();
    let device = json!({
        "device": about.device,
        "driver": format!("{} {}", about.driver, about.version),
        "subgroups": [about.subgroups.0, about.subgroups.1],
    });
    println!("{device}");
    for name in names {
        let mut same = pipelines
            .iter()
            .filter(|pipeline| pipeline["name"] == *name);
        let pipeline = same.next().ok_or_else(|| format!("no pipeline `{name}`"))?;
        let line = match compiled(&compiler, folder, name, pipeline) {
            Ok(executables) => json!({ "name": name, "executables": executables }),
            Err(error) => json!({ "name": name, "error": error.to_string() }),
        };
        println!("{line}");
    }
    Ok(())
}

fn compiled(
    compiler: &Compiler,
    folder: &Path,
    name: &str,
    pipeline: &Value,
) -> Result<Vec<Value>, Box<dyn Error>> {
    let size = number(&pipeline["subgroup_size"])?;
    let (min, max) = compiler.about().subgroups;
    if size != 0 && !(min..=max).contains(&size) {
        let sizes = if min == max {
            min.to_string()
        } else {
            format!("{min} to {max}")
        };
        return Err(format!("requires subgroups of {size}; this device has {sizes}").into());
    }
    let bytes = std::fs::read(folder.join(format!("{name}.spv")))?;
    let words: Vec<u32> = bytemuck::pod_collect_to_vec(&bytes);
    let bindings: Vec<_> = pipeline["bindings"]
        .as_array()
        .ok_or("no bindings")?
        .iter()
        .map(|binding| {
            let buffer = if binding[1] == true {
                Buffer::Uniform
            } else {
                Buffer::Storage
            };
            Ok((number(&binding[0])?, buffer))
        })
        .collect::<Result<_, Box<dyn Error>>>()?;
    let entry = pipeline["kernel"].as_str().ok_or("no kernel")?;
    let executables = compiler.compile(&words, entry, &bindings)?;
    Ok(executables.iter().map(described).collect())
}

fn number(value: &Value) -> Result<u32, Box<dyn Error>> {
    let number = value.as_u64().ok_or("not a number")?;
    Ok(number.try_into()?)
}

fn described(executable: &Executable) -> Value {
    let statistics: Map<_, _> = executable
        .statistics
        .iter()
        .map(|statistic| {
            let value = match statistic.value {
                Figure::Bool(value) => json!(value),
                Figure::Signed(value) => json!(value),
                Figure::Unsigned(value) => json!(value),
                Figure::Float(value) => json!(value),
            };
            (statistic.name.clone(), value)
        })
        .collect();
    json!({ "name": executable.name, "subgroup": executable.subgroup, "statistics": statistics })
}
