//! Runs tests on every adapter of the machine. A test that finds no adapter fails; it is never
//! skipped.

use ctc_wgpu::Ctc;

/// Restricts the tests to adapters whose name contains this variable's value, ignoring case. wgpu's
/// own examples read the same variable, and `WGPU_BACKEND`, which applies to the tests too.
const NAME: &str = "WGPU_ADAPTER_NAME";

/// Returns all adapters, or those that `WGPU_ADAPTER_NAME` selects. Panics if there is none.
pub(crate) fn all() -> Vec<wgpu::Adapter> {
    let mut adapters = ctc_wgpu::adapters();
    assert!(
        !adapters.is_empty(),
        "no GPU adapter: on Debian or Ubuntu, `apt-get install mesa-vulkan-drivers` installs a software one"
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

/// Runs `test` on each adapter, after printing its name, so that a failure shows the adapter.
pub(crate) fn on_each(test: impl Fn(&Ctc)) {
    for adapter in &all() {
        let ctc = Ctc::on_adapter(adapter).unwrap();
        println!("on {}", ctc.backend());
        test(&ctc);
    }
}
