//! Pipeline caches, which make the first use of a device faster and outlive the program.

use ctc_wgpu::{BatchShape, Ctc, Error, GpuCtc, LossAndGradOutput, Options};

use crate::support::adapters::all;
use crate::support::random::BatchSpec;

/// Creates an empty cache, or one from the data of an earlier cache on the same adapter.
#[allow(
    unsafe_code,
    reason = "wgpu requires it, because a driver may use the data without checking them"
)]
fn cache(device: &wgpu::Device, data: Option<&[u8]>) -> wgpu::PipelineCache {
    let descriptor = wgpu::PipelineCacheDescriptor {
        label: None,
        data,
        fallback: false,
    };
    // SAFETY: the callers below pass `None`, or the data of `get_data` in the same test on the same
    // adapter.
    unsafe { device.create_pipeline_cache(&descriptor) }
}

fn output(ctc: &Ctc) -> LossAndGradOutput {
    let batch = BatchSpec::new([3, 30, 9], 5).batch(1);
    ctc.loss_and_grad(&batch.batch(), &Options::default())
        .unwrap()
}

/// Returns the adapters that support pipeline caches. Fails if there are none; Vulkan's adapters
/// support them.
fn with_caches() -> Vec<wgpu::Adapter> {
    let mut adapters = all();
    adapters.retain(|adapter| {
        let features = adapter.features();
        features.contains(wgpu::Features::PIPELINE_CACHE)
    });
    assert!(!adapters.is_empty(), "no adapter has pipeline caches");
    adapters
}

#[test]
fn a_cache_changes_no_bit_and_its_data_can_be_used_on_the_next_device() {
    for adapter in &with_caches() {
        let plain = Ctc::on_adapter(adapter).unwrap();
        let expected = output(&plain);
        let first = cache(plain.device().unwrap(), None);
        let plain = plain.with_cache(&first);
        assert_eq!(output(&plain), expected);
        let data = first.get_data().unwrap();

        let next = Ctc::on_adapter(adapter).unwrap();
        let second = cache(next.device().unwrap(), Some(&data));
        assert_eq!(output(&next.with_cache(&second)), expected);
    }
}

/// This also shows that pipelines are compiled through the cache.
#[test]
fn a_cache_of_another_device_is_an_error() {
    for adapter in &with_caches() {
        let [ctc, other] = [(); 2].map(|()| Ctc::on_adapter(adapter).unwrap());
        let foreign = cache(other.device().unwrap(), None);
        let batch = BatchSpec::new([3, 30, 9], 5).batch(1);
        let ctc = ctc.with_cache(&foreign);
        let rejected = ctc.loss_and_grad(&batch.batch(), &Options::default());
        let Err(Error::Gpu { during, .. }) = rejected else {
            panic!("{rejected:?}");
        };
        assert!(during.contains("kernel `check_labels`"), "{during}");
    }
}

#[test]
fn plans_of_one_context_share_its_pipelines_and_a_cache_starts_without_them() {
    for adapter in &with_caches() {
        let ctc = Ctc::on_adapter(adapter).unwrap();
        let device = ctc.device().unwrap();
        let (other, queue) =
            pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
        let foreign = cache(device, None);
        let shape = BatchShape::new(2, 10, 5, 3);
        let plain = GpuCtc::new(&other, &queue).unwrap();
        plain.plan(&shape, &Options::default()).unwrap();
        let cached = plain.with_cache(&foreign);
        assert!(cached.plan(&shape, &Options::default()).is_err());
        // The original context still has no cache.
        plain.clone().plan(&shape, &Options::default()).unwrap();
    }
}
