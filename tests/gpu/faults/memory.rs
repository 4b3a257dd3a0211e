//! Full device memory, and batches that exceed any memory.

use ctc_wgpu::{BatchShape, Ctc, Error, GpuCtc, Options};

use super::batches;
use crate::support::adapters::all;
use crate::support::batch::OwnedBatch;
use crate::support::device::on_each_device;
use crate::support::random::BatchSpec;

#[test]
fn a_batch_larger_than_any_memory_is_rejected_before_any_allocation() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        for shape in [
            BatchShape::new(1 << 20, 1000, 100, 50),
            BatchShape::new(1 << 20, 1, 1, 1 << 20),
        ] {
            let error = ctc.plan(&shape, &Options::default()).unwrap_err();
            assert!(matches!(error, Error::Plan(_)), "{error}");
        }
    });
}

/// The address space of the process below, in KiB. Software drivers allocate their memory in it.
const KIB: u32 = 6 << 20;

/// The sizes of the buffers that fill the memory, in bytes: large ones first, since a GPU may have
/// hundreds of GiB.
const FILLER_BYTES: [u64; 2] = [1 << 30, 32 << 20];

/// Allocates buffers until the device's memory is full.
fn fill_memory(device: &wgpu::Device) -> Vec<wgpu::Buffer> {
    let mut fillers = Vec::new();
    for bytes in FILLER_BYTES {
        for _ in 0..1 << 10 {
            let scope = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
            let buffer = device.create_buffer(&wgpu::BufferDescriptor {
                label: Some("filler"),
                size: bytes.min(device.limits().max_buffer_size & !3),
                usage: wgpu::BufferUsages::STORAGE,
                mapped_at_creation: false,
            });
            if pollster::block_on(scope.pop()).is_some() {
                break;
            }
            fillers.push(buffer);
        }
    }
    fillers
}

/// Returns true if the memory of a device can be filled without filling the machine's memory: if it
/// is the GPU's own, or that of the process below.
fn may_be_filled(info: &wgpu::AdapterInfo) -> bool {
    matches!(
        info.device_type,
        wgpu::DeviceType::DiscreteGpu | wgpu::DeviceType::Cpu
    ) || info.name.contains("llvmpipe")
}

#[test]
#[ignore = "needs a process with little memory: run by a_full_memory_is_an_error_and_later_calls_are_right"]
fn in_a_process_with_little_memory() {
    let spec = BatchSpec {
        ragged: false,
        ..BatchSpec::new([4, 1000, 4096], 20)
    };
    let large = spec.batch(1);
    let small = &batches()[0];
    let options = Options::default();
    for adapter in &all() {
        let ctc = Ctc::on_adapter(adapter).unwrap();
        let call = |ctc: &Ctc, batch: &OwnedBatch| ctc.loss_and_grad(&batch.batch(), &options);
        let expected = call(&ctc, small).unwrap();
        let is_right = |ctc: &Ctc| {
            assert_eq!(call(ctc, small).unwrap(), expected);
            assert_eq!(call(ctc, &large).unwrap().loss.len(), 4);
        };
        if !may_be_filled(&adapter.get_info()) {
            println!("{} not filled: it uses the machine's memory", ctc.backend());
            is_right(&ctc);
            continue;
        }
        println!("on {}", ctc.backend());
        let fillers = fill_memory(ctc.device().unwrap());
        let error = call(&ctc, &large).unwrap_err();
        println!("{error}");
        // On GL, wgpu does not check whether a buffer was allocated. There, the device is lost when
        // the buffer cannot be mapped.
        let gl = adapter.get_info().backend == wgpu::Backend::Gl;
        let is_expected = match &error {
            Error::OutOfMemory(during) => during.contains("buffers"),
            Error::DeviceLost(_) => gl,
            _ => false,
        };
        assert!(is_expected, "{error}");
        drop(fillers);
        let ctc = if gl {
            drop(ctc);
            Ctc::on_adapter(adapter).unwrap()
        } else {
            drop(
                ctc.device()
                    .unwrap()
                    .poll(wgpu::PollType::wait_indefinitely()),
            );
            ctc
        };
        is_right(&ctc);
    }
}

#[test]
fn a_full_memory_is_an_error_and_later_calls_are_right() {
    let test = "faults::memory::in_a_process_with_little_memory";
    let script = format!("ulimit -v {KIB} && exec \"$0\" --exact {test} --ignored --nocapture");
    let output = std::process::Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert!(out.contains("1 passed"), "{out}");
}
