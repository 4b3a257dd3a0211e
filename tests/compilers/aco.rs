//! AMD's compiler, ACO, by the statistics that its driver reports.

use super::cases;
use super::module::{Kind, Module};
use super::spirv;
use super::vulkan::{Buffer, Compiler};

#[test]
#[ignore = "needs RADV_FORCE_FAMILY and VK_ICD_FILENAMES: to be started by the test of every family"]
fn a_null_device_compiles_a_pipeline() {
    let case = &cases::all()[0];
    let made = Module::of(case);
    let bindings: Vec<_> = made
        .bindings()
        .into_iter()
        .map(|(binding, kind)| match kind {
            Kind::Uniform => (binding.binding, Buffer::Uniform),
            Kind::Read | Kind::Written => (binding.binding, Buffer::Storage),
        })
        .collect();
    let words = spirv::translated(case, &made, &spirv::AMD).unwrap();
    let compiler = Compiler::open().unwrap();
    let made = compiler
        .compile(&words, case.shader.name, &bindings)
        .unwrap();
    println!("{:?}: {made:?}", compiler.about());
    assert!(made[0].statistic("VGPRs").is_some());
}
