//! Every adapter of the machine. A test of kernels that finds none fails: it never passes by skipping.

use ctc_wgpu::Ctc;

/// All adapters; none is a failure.
pub(crate) fn all() -> Vec<wgpu::Adapter> {
    let adapters = ctc_wgpu::adapters();
    assert!(
        !adapters.is_empty(),
        "no GPU adapter: on Debian or Ubuntu `apt-get install mesa-vulkan-drivers` brings a software one"
    );
    adapters
}

/// Runs `test` on each adapter; its name is printed, so that a failure says where.
pub(crate) fn on_each(test: impl Fn(&Ctc)) {
    for adapter in &all() {
        let ctc = Ctc::on_adapter(adapter).unwrap();
        println!("on {}", ctc.backend());
        test(&ctc);
    }
}
