//! Every adapter of the machine. A test of kernels that finds none fails: it never passes by skipping.

use ctc_wgpu::Ctc;

/// Restricts the tests to adapters whose name contains its value, in any case. It is the variable that wgpu's own
/// examples read, as they do `WGPU_BACKEND`, which the tests obey too.
const NAME: &str = "WGPU_ADAPTER_NAME";

/// All adapters, or those that `WGPU_ADAPTER_NAME` selects; none is a failure.
pub(crate) fn all() -> Vec<wgpu::Adapter> {
    let mut adapters = ctc_wgpu::adapters();
    assert!(
        !adapters.is_empty(),
        "no GPU adapter: on Debian or Ubuntu `apt-get install mesa-vulkan-drivers` brings a software one"
    );
    if let Ok(name) = std::env::var(NAME) {
        let wanted = name.to_lowercase();
        adapters.retain(|adapter| adapter.get_info().name.to_lowercase().contains(&wanted));
        assert!(
            !adapters.is_empty(),
            "no GPU adapter has a name that contains {NAME}={name}"
        );
    }
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
