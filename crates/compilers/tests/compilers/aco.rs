//! Compiles every pipeline with ACO, the compiler of AMD's Vulkan driver RADV, without a GPU.
//!
//! RADV has null devices, which compile and report statistics but cannot dispatch. An environment
//! variable selects the GPU family. Setting it is only safe for a new process, so the test starts
//! this test binary once per family.
//!
//! Every family compiles every pipeline, including those planned for a subgroup size that the
//! family lacks: the size is part of the plan, not of the SPIR-V. The only exception is f16 on a
//! family without it (Polaris), where wgpu rejects such a shader. `aco.tsv` lists these as `-`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rayon::prelude::*;

use super::cases;
use super::ratchet::{Figures, Table, compared};
use ctc_wgpu_compilers::case::Case;
use ctc_wgpu_compilers::module::{Kind, Module};
use ctc_wgpu_compilers::to_spirv::{ROBUST, translated};
use ctc_wgpu_compilers::vulkan::{Buffer, Compiler, Executable, Value};

/// The families, from GCN 4 to RDNA 3, each with its names in older and newer versions of Mesa.
const FAMILIES: [&[&str]; 4] = [
    &["polaris10"],
    &["vega10"],
    &["navi21"],
    &["gfx1100", "navi31"],
];

/// The variables that hold the family of a child process and the file that it writes.
const FAMILY: &str = "CTC_WGPU_ACO_FAMILY";
const TABLE: &str = "CTC_WGPU_ACO_TABLE";

/// The word that a child process prints after opening its device. Later errors concern the kernels.
const OPENED: &str = "opened";

#[test]
fn aco_compiles_every_pipeline_and_none_needs_more_than_the_reference() {
    let path = reference();
    let text = std::fs::read_to_string(&path).unwrap();
    let file = Table::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let now = all_families();
    print!("{}", now.spills());
    match compared(&file, &now) {
        Ok(line) => println!("{line}"),
        Err(found) => panic!("{}:\n{found}", path.display()),
    }
}

#[test]
#[ignore = "writes aco.tsv"]
fn write_aco_tsv() {
    let table = all_families();
    print!("{}", table.spills());
    std::fs::write(reference(), table.to_string()).unwrap();
}

#[test]
#[should_panic(expected = "no null device of gfx0")]
fn a_family_that_the_driver_lacks_is_a_failure() {
    of_family(&["gfx0"], &driver());
}

/// Returns the path of the reference figures.
fn reference() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("aco.tsv")
}

/// Compiles every pipeline for every family.
fn all_families() -> Table {
    let driver = driver();
    // A single process does not keep two cores busy.
    let tables: Vec<_> = FAMILIES
        .par_iter()
        .map(|names| of_family(names, &driver))
        .collect();
    let tables = tables.into_iter();
    tables.reduce(|all, table| all.beside(&table)).unwrap()
}

/// Finds the manifest that lets Vulkan's loader load RADV.
fn driver() -> PathBuf {
    let folders = ["/etc", "/usr/local/share", "/usr/share"];
    let names = [
        format!("radeon_icd.{}.json", std::env::consts::ARCH),
        "radeon_icd.json".to_owned(),
    ];
    let mut paths = folders.iter().flat_map(|folder| {
        let folder = Path::new(folder).join("vulkan/icd.d");
        names.iter().map(move |name| folder.join(name))
    });
    paths.find(|path| path.is_file()).unwrap_or_else(|| {
        panic!("AMD's driver is missing: on Debian or Ubuntu `apt-get install mesa-vulkan-drivers`")
    })
}

/// Compiles every pipeline for one family, by the first of its names that the driver accepts.
fn of_family(names: &[&str], driver: &Path) -> Table {
    let table = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!(
        "aco-{}-{}.tsv",
        names[0],
        std::process::id()
    ));
    let mut rejected = String::new();
    for name in names {
        let output = process(name, driver, &table);
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            let made = std::fs::read_to_string(&table).unwrap();
            std::fs::remove_file(&table).unwrap();
            return Table::parse(&made).unwrap().renamed(names[0]);
        }
        assert!(
            !printed.lines().any(|line| line.contains(OPENED)),
            "{name}: the compiler failed ({})\n{}\n{errors}",
            output.status,
            last(&printed),
        );
        rejected = format!("{rejected}{name}: {}\n{}\n", output.status, last(&errors));
    }
    panic!(
        "no null device of {} (are mesa-vulkan-drivers and libvulkan1 of Debian 12 or 13 installed?):\n{rejected}",
        names[0]
    );
}

/// Returns the last lines. After a crash they include the pipelines that were being compiled.
fn last(text: &str) -> String {
    let mut lines: Vec<_> = text.lines().rev().take(20).collect();
    lines.reverse();
    lines.join("\n")
}

/// Runs `in_a_process_of_one_family` without the environment variables that change a driver's code.
fn process(family: &str, driver: &Path, table: &Path) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    for (name, _) in std::env::vars_os() {
        let prefixes = ["ACO_", "AMD_", "MESA_", "NIR_", "RADV_", "VK_"];
        let is_setting = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if name.to_str().is_some_and(is_setting) {
            command.env_remove(name);
        }
    }
    command
        .args(["aco::in_a_process_of_one_family", "--exact"])
        .args(["--ignored", "--nocapture"])
        .env(FAMILY, family)
        .env(TABLE, table)
        .env("VK_DRIVER_FILES", driver)
        // The name of that variable before version 1.3.207 of the loader.
        .env("VK_ICD_FILENAMES", driver)
        .env("RADV_FORCE_FAMILY", family)
        // Newer versions of Mesa require both.
        .env("AMD_FORCE_FAMILY", family)
        .env("MESA_SHADER_CACHE_DISABLE", "true")
        .env("RUST_BACKTRACE", "0")
        .env("XDG_RUNTIME_DIR", env!("CARGO_TARGET_TMPDIR"))
        .output()
        .unwrap()
}

#[test]
#[ignore = "for a process of one family: run by aco_compiles_every_pipeline_and_none_needs_more_than_the_reference"]
fn in_a_process_of_one_family() {
    let setting = |name| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
    let (family, table) = (setting(FAMILY), setting(TABLE));
    let compiler = Compiler::open().unwrap_or_else(|error| panic!("{error}"));
    let about = compiler.about();
    assert!(
        about.device.to_lowercase().contains(&family),
        "{} is not a {family}",
        about.device
    );
    assert!(
        about.robust_buffers,
        "wgpu compiles further checks on such a device"
    );
    let (smallest, largest) = about.subgroups;
    println!(
        "{OPENED} {}: {} {}, subgroups of {smallest} to {largest}",
        about.device, about.driver, about.version
    );

    let runs = |case: &&Case| about.f16 || !case.is_f16();
    let cases: Vec<_> = cases::all().iter().filter(runs).collect();
    let modules: Vec<_> = cases.par_iter().map(|case| Source::of(case)).collect();
    // Some cases differ in name only.
    let mut distinct: HashMap<_, Vec<_>> = HashMap::new();
    for (case, module) in cases.iter().zip(&modules) {
        distinct.entry(module).or_default().push(case.name());
    }
    let distinct: Vec<_> = distinct.into_iter().collect();
    println!("{} pipelines, {} distinct", cases.len(), distinct.len());

    let results: Vec<_> = distinct
        .par_iter()
        .map(|(source, names)| {
            println!("compiles {}", names[0]);
            (names, source.compiled(&compiler))
        })
        .collect();
    let mut failures = Vec::new();
    let mut figures = HashMap::new();
    for (names, result) in results {
        for name in names {
            match &result {
                Ok(made) => drop(figures.insert(name.clone(), *made)),
                Err(error) => failures.push(format!("{name}: {error}")),
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let rows = cases::all().iter().map(|case| {
        let name = case.name();
        let made = figures.get(&name).copied();
        (name, made)
    });
    let made = Table::of_family(&about.version, &family, rows);
    std::fs::write(table, made.to_string()).unwrap();
}

/// The input of a driver's compiler.
#[derive(PartialEq, Eq, Hash)]
struct Source {
    words: Vec<u32>,
    entry: &'static str,
    bindings: Vec<(u32, Buffer)>,
}

impl Source {
    fn of(case: &Case) -> Self {
        let made = Module::of(case);
        let words = translated(case, &made, &ROBUST).unwrap_or_else(|error| panic!("{error}"));
        let bindings = made.bindings().into_iter().map(|(at, kind)| {
            assert_eq!(at.group, 0, "{}", case.name());
            match kind {
                Kind::Uniform => (at.binding, Buffer::Uniform),
                Kind::Read | Kind::Written => (at.binding, Buffer::Storage),
            }
        });
        Self {
            words,
            entry: case.shader.name,
            bindings: bindings.collect(),
        }
    }

    fn compiled(&self, compiler: &Compiler) -> Result<Figures, String> {
        let made = compiler.compile(&self.words, self.entry, &self.bindings)?;
        let [executable] = &made[..] else {
            return Err(format!("expected one program, got {}", made.len()));
        };
        Ok([
            figure(executable, "VGPRs")?,
            figure(executable, "Spilled VGPRs")?,
            figure(executable, "Spilled SGPRs")?,
            figure(executable, "Code size")?,
        ])
    }
}

fn figure(executable: &Executable, name: &str) -> Result<u64, String> {
    match executable.statistic(name) {
        Some(Value::Unsigned(value)) => Ok(value),
        other => Err(format!(
            "{} for subgroups of {}: the statistic {name} is {other:?}",
            executable.name, executable.subgroup
        )),
    }
}
