//! Every adapter of the machine. A test of kernels that finds none fails: it never passes by skipping.

use ctc_wgpu::Ctc;

fn all() -> Vec<wgpu::Adapter> {
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

/// Runs `test` on a device of each adapter, made with exactly these limits.
pub(crate) fn on_each_device(limits: &wgpu::Limits, test: impl Fn(&wgpu::Device, &wgpu::Queue)) {
    for adapter in &all() {
        println!("on {:?}", adapter.get_info());
        let descriptor = wgpu::DeviceDescriptor {
            required_limits: limits.clone(),
            ..wgpu::DeviceDescriptor::default()
        };
        let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
        test(&device, &queue);
    }
}
