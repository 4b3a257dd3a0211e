//! Guide: the loss inside your own training loop on wgpu.
//!
//! [`GpuCtc`](crate::GpuCtc) needs a device, your buffers and your encoder, and has no opinion on the rest.
//! `examples/training_loop.rs` is a whole program, with a model of its own WGSL before and after the loss.
//!
//! # Ordering
//!
//! [`GpuPlan::encode`](crate::GpuPlan::encode) records one compute pass. WebGPU runs what one queue is given in order, and
//! within an encoder pass after pass, and every dispatch sees what those before it wrote. So neither barriers nor fences
//! are yours to place: what you record before `encode` makes the logits, what you record after it uses the gradient.
//!
//! ```no_run
//! # fn step(device: &wgpu::Device, queue: &wgpu::Queue, plan: &ctc_wgpu::GpuPlan, buffers: &ctc_wgpu::Buffers<'_>,
//! #   forward: impl Fn(&mut wgpu::CommandEncoder), backward: impl Fn(&mut wgpu::CommandEncoder))
//! #   -> Result<(), ctc_wgpu::Error> {
//! let mut encoder = device.create_command_encoder(&Default::default());
//! forward(&mut encoder); // writes the logits
//! plan.encode(&mut encoder, buffers)?; // writes losses and gradient
//! backward(&mut encoder); // reads the gradient
//! queue.submit([encoder.finish()]); // and waits for nothing
//! # Ok(())
//! # }
//! ```
//!
//! To read a loss back is to wait for all that was submitted before it. Do it every so many steps, or map the buffer of one
//! step while the next is recorded. `queue.write_buffer` happens before all encoders of the next submit, wherever
//! you call it: new labels belong before the submit that uses them, not between two encodes in one encoder.
//!
//! # Sharing a device
//!
//! A `wgpu::Device` and its `Queue` are handles: clone them into whatever else uses the GPU. The crate must be built with
//! the same major version of wgpu as that; where a framework makes the device, take it from there
//! (`bindings/burn` does so with Burn's).
//!
//! - Buffers need `BufferUsages::STORAGE`, and offsets keep to `min_storage_buffer_offset_alignment`.
//! - Several arrays may lie in one `wgpu::Buffer`, as allocators of frameworks have it: set the fields of
//!   [`Buffers`](crate::Buffers) to a buffer, an offset and a size. WebGPU forbids to bind a buffer as read-only here and
//!   as written there within one dispatch, so the kernels then declare all of it as written. No array is hurt by that.
//! - Errors of wgpu that our calls provoke are caught in error scopes and returned; your `on_uncaptured_error` does not see
//!   them.
//! - Labels and lengths on a device are checked by the kernels. A bad one costs its item, whose
//!   [`Status`](crate::Status) tells, and never an access out of bounds.
//!
//! # Features and limits
//!
//! Nothing beyond WebGPU's defaults is needed. What is worth asking for:
//!
//! ```no_run
//! # async fn device(adapter: wgpu::Adapter) -> Result<(wgpu::Device, wgpu::Queue), wgpu::RequestDeviceError> {
//! adapter.request_device(&wgpu::DeviceDescriptor {
//!     required_features: adapter.features() & ctc_wgpu::Limits::FEATURES, // subgroups, f16
//!     required_limits: adapter.limits(), // larger bindings: fewer cuts
//!     ..Default::default()
//! })
//! # .await
//! # }
//! ```
//!
//! `wgpu::Limits::downlevel_defaults()` is too little: a stage binds [`DeviceLimits::STORAGE_BUFFERS`](crate::DeviceLimits::STORAGE_BUFFERS)
//! storage buffers. [`GpuCtc::new`](crate::GpuCtc::new) says so when that is the case.
//!
//! # Memory
//!
//! A plan owns its workspace, and two batches encoded from one plan go through it one after the other. It prints what it
//! takes, and tells before a device is there:
//!
//! ```
//! use ctc_wgpu::{Task, DeviceLimits, Options, Plan, BatchShape};
//!
//! let shape = BatchShape::new(16, 256, 80, 100); // N, T, C, Lmax
//! let plan = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &DeviceLimits::default())?;
//! println!("{plan}"); // its stages, how they are cut, and their workspace
//!
//! // A tighter bound means groups of items one after the other: less memory, and less at once on the GPU.
//! let tight = DeviceLimits::default().max_binding(1 << 20);
//! let frugal = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &tight)?;
//! assert!(frugal.batch_tiles() > plan.batch_tiles());
//! assert!(frugal.workspace_bytes() < plan.workspace_bytes());
//! # Ok::<(), ctc_wgpu::PlanError>(())
//! ```
//!
//! - Make a plan for each shape once and keep it: it compiles pipelines and allocates. Where lengths vary from batch to batch,
//!   round `T` and `Lmax` up to a few sizes: frames and labels past an item's length cost little and change no bit.
//! - [`Buffers::in_place`](crate::Buffers::in_place) writes the gradient over the logits and saves as much as they take;
//!   [`BatchShape::f16`](crate::BatchShape::f16) halves both.
//! - [`GpuCtc::plan_loss`](crate::GpuCtc::plan_loss) is for validation: no lattice, half the steps.
//!
//! # Profiling
//!
//! [`GpuPlan::prepare`](crate::GpuPlan::prepare) makes the bind groups of a set of buffers once. A loop that uses the same
//! buffers in every step saves that time, and [`Prepared::stages`](crate::Prepared::stages) records the dispatches one by
//! one, into passes of your own. On a device with `Features::TIMESTAMP_QUERY` and `TIMESTAMP_QUERY_INSIDE_PASSES` one pass
//! yields the time of every stage:
//!
//! ```no_run
//! # fn step(device: &wgpu::Device, encoder: &mut wgpu::CommandEncoder, plan: &ctc_wgpu::GpuPlan,
//! #   buffers: &ctc_wgpu::Buffers<'_>) -> Result<wgpu::Buffer, ctc_wgpu::Error> {
//! let prepared = plan.prepare(buffers)?; // keep it as long as the buffers stay the same
//! let count = prepared.stages().len() as u32 + 1;
//! let times = device.create_query_set(&wgpu::QuerySetDescriptor {
//!     label: None,
//!     ty: wgpu::QueryType::Timestamp,
//!     count,
//! });
//! let ticks = device.create_buffer(&wgpu::BufferDescriptor {
//!     label: None,
//!     size: u64::from(count * wgpu::QUERY_SIZE),
//!     usage: wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC,
//!     mapped_at_creation: false,
//! });
//! let mut pass = encoder.begin_compute_pass(&Default::default());
//! pass.write_timestamp(&times, 0);
//! for (stage, index) in prepared.stages().zip(1..) {
//!     stage.encode(&mut pass); // stage.name() is `labels`, `chain`, `stats`, …
//!     pass.write_timestamp(&times, index);
//! }
//! drop(pass);
//! encoder.resolve_query_set(&times, 0..count, &ticks, 0);
//! // Read back as u64. Stage i took (ticks[i + 1] - ticks[i]) * queue.get_timestamp_period() nanoseconds.
//! # Ok(ticks)
//! # }
//! ```
//!
//! [`Prepared`](crate::Prepared) shows the same with one pass per stage, for devices that have `TIMESTAMP_QUERY` only.
//! `ctc-wgpu bench --stages` measures stages in these ways. Tools such as RenderDoc and Nsight show them by name, as debug
//! groups.
//!
//! # First use
//!
//! The first plan on a device compiles its kernels, in parallel. A driver may take seconds for that. Most desktop drivers keep compiled
//! kernels on disk; for others, [`GpuCtc::with_cache`](crate::GpuCtc::with_cache) takes a `wgpu::PipelineCache` that your
//! program saves. Request `Features::PIPELINE_CACHE` for it when you create the device.
//!
//! # Alignment, reading, occupancies
//!
//! Plans of [`plan_align`](crate::GpuCtc::plan_align) and [`plan_greedy`](crate::GpuCtc::plan_greedy) are recorded in the same way,
//! with buffers of their own:
//!
//! ```no_run
//! use ctc_wgpu::{AlignBuffers, GpuCtc, Options, BatchShape};
//! # fn demo(device: &wgpu::Device, queue: &wgpu::Queue, logits: &wgpu::Buffer, labels: &wgpu::Buffer,
//! #   label_lengths: &wgpu::Buffer) -> Result<(), ctc_wgpu::Error> {
//! let [n, t, c, l] = [32, 50, 20, 6];
//! let plan = GpuCtc::new(device, queue)?.plan_align(&BatchShape::new(n, t, c, l), &Options::default())?;
//! let room = |words: usize| {
//!     device.create_buffer(&wgpu::BufferDescriptor {
//!         label: None,
//!         size: 4 * words as u64,
//!         usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
//!         mapped_at_creation: false,
//!     })
//! };
//! let (path, log_probs, score) = (room(n * t), room(n * t), room(n));
//! let (spans, probabilities) = (room(2 * n * l), room(n * l));
//! let buffers = AlignBuffers {
//!     logits: logits.as_entire_buffer_binding(),
//!     labels: labels.as_entire_buffer_binding(),
//!     logit_lengths: None, // all frames count
//!     label_lengths: label_lengths.as_entire_buffer_binding(),
//!     path: path.as_entire_buffer_binding(),
//!     log_probs: log_probs.as_entire_buffer_binding(),
//!     spans: spans.as_entire_buffer_binding(),
//!     probabilities: probabilities.as_entire_buffer_binding(),
//!     score: score.as_entire_buffer_binding(),
//!     status: None,
//! };
//! let mut encoder = device.create_command_encoder(&Default::default());
//! plan.encode_align(&mut encoder, &buffers)?;
//! queue.submit([encoder.finish()]);
//! # Ok(())
//! # }
//! ```
//!
//! The occupancies γ of each class are a gradient: that of a plan with [`Input::LogProbsExact`](crate::Input::LogProbsExact) is −γ,
//! for logits too, and with a weight of −1 for each item it is γ.
//!
//! # Several devices
//!
//! A [`GpuCtc`](crate::GpuCtc) each. Buffers, plans and pipelines belong to one device, and wgpu refuses those of another
//! with an [`Error::Gpu`](crate::Error::Gpu). With data-parallel training every device has its part of the batch. Take
//! [`Reduction::Sum`](crate::Reduction::Sum) or none there, and divide by the size of the whole batch: a mean on each device
//! is right only where all parts are equally large. The losses of an item are the same on any part of any batch.
//!
//! # Threads
//!
//! [`GpuCtc`](crate::GpuCtc), [`GpuPlan`](crate::GpuPlan), [`Plan`](crate::Plan), [`Ctc`](crate::Ctc) and the errors are `Send` and
//! `Sync`, and every call takes `&self`. A `GpuCtc` is cheap to clone; clones share their pipelines.
//!
//! ```
//! fn shared_by_threads<T: Send + Sync>() {}
//! shared_by_threads::<ctc_wgpu::GpuCtc>();
//! shared_by_threads::<ctc_wgpu::GpuPlan>();
//! shared_by_threads::<ctc_wgpu::Plan>();
//! shared_by_threads::<ctc_wgpu::Ctc>();
//! shared_by_threads::<ctc_wgpu::Error>();
//! ```
//!
//! Threads may encode from one plan at the same time, each into an encoder of its own: the queue runs the recordings one
//! after the other, so they may share its workspace. An encoder is not to be shared, as ever in wgpu. Two batches that the
//! GPU should interleave need two plans.
//!
//! # Processes
//!
//! A forked process has none of its parent's other threads, and a GPU's driver does not work on in it. There a
//! [`Ctc`](crate::Ctc) on the CPU computes with threads of its own; what is on a device, a [`GpuCtc`](crate::GpuCtc) and its
//! plans included, returns [`Error::Forked`](crate::Error::Forked), and is leaked when it is dropped, since a driver may wait
//! for its threads then. Your own devices and buffers are yours to leak: `std::mem::forget` them in the child. A new
//! [`Ctc`](crate::Ctc) on a GPU may be made in the child, unless another thread was in a call on a GPU at the fork; end such a child
//! by `_exit`, since some drivers (Mesa's) crash in what they do when a process ends.
//!
//! # Caches
//!
//! A [`GpuCtc`](crate::GpuCtc) keeps at most 128 pipelines for later plans
//! ([`set_pipeline_limit`](crate::GpuCtc::set_pipeline_limit)), and a [`Ctc`](crate::Ctc) also the plans and buffers of its four
//! latest shapes ([`set_cache_limits`](crate::Ctc::set_cache_limits)). The least recently used are dropped; a plan holds its own
//! pipelines as long as it is there.
