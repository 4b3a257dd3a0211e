//! Guide: the loss inside your own training loop on wgpu.
//!
//! [`GpuCtc`](crate::GpuCtc) needs a device, your buffers and your encoder, and does not constrain
//! the rest of your program. `examples/training_loop.rs` is a complete program, with a model in
//! WGSL before and after the loss.
//!
//! # Ordering
//!
//! [`GpuPlan::encode`](crate::GpuPlan::encode) records one compute pass. WebGPU executes the
//! submissions of a queue in order, and the passes of an encoder in order, and every dispatch sees
//! the writes of those before it. You need no barriers and no fences: record the forward pass
//! before `encode`, and the use of the gradient after it.
//!
//! ```no_run
//! # fn step(device: &wgpu::Device, queue: &wgpu::Queue, plan: &ctc_wgpu::GpuPlan, buffers: &ctc_wgpu::Buffers<'_>,
//! #   forward: impl Fn(&mut wgpu::CommandEncoder), backward: impl Fn(&mut wgpu::CommandEncoder))
//! #   -> Result<(), ctc_wgpu::Error> {
//! let mut encoder = device.create_command_encoder(&Default::default());
//! forward(&mut encoder); // writes the logits
//! plan.encode(&mut encoder, buffers)?; // writes losses and gradient
//! backward(&mut encoder); // reads the gradient
//! queue.submit([encoder.finish()]); // does not block
//! # Ok(())
//! # }
//! ```
//!
//! Reading a loss back waits for everything that was submitted before it. Read it only every few
//! steps, or map the buffer of one step while you record the next. `queue.write_buffer` takes
//! effect before all encoders of the next submission, wherever you call it: write new labels before
//! the submission that uses them, not between two `encode` calls of one encoder.
//!
//! # Sharing a device
//!
//! `wgpu::Device` and `wgpu::Queue` are handles: clone them into everything else that uses the GPU.
//! All of it must use the same major version of wgpu as this crate, which is re-exported as
//! [`ctc_wgpu::wgpu`](crate::wgpu). If a framework creates the device, take it from the framework
//! (`bindings/burn` does so with Burn's).
//!
//! - Buffers need `BufferUsages::STORAGE`, and offsets are multiples of
//!   `min_storage_buffer_offset_alignment`.
//! - Several arrays may be ranges of one `wgpu::Buffer`, as in frameworks' allocators: set the
//!   fields of [`Buffers`](crate::Buffers) to a buffer, an offset and a size. Within one dispatch,
//!   WebGPU does not allow one buffer to be bound both as read-only and as writable. The kernels
//!   therefore declare all of its ranges as writable; arrays that are only read are not changed.
//! - On native platforms, wgpu errors that our calls cause are caught in error scopes and returned.
//!   They do not reach your `on_uncaptured_error`. A browser reports them later, to your error
//!   scopes.
//! - The kernels check labels and lengths on the device. An invalid one affects only its item,
//!   whose [`Status`](crate::Status) reports it, and never causes an access out of bounds.
//!
//! # Features and limits
//!
//! WebGPU's defaults suffice. These are worth requesting:
//!
//! ```no_run
//! # async fn device(adapter: wgpu::Adapter) -> Result<(wgpu::Device, wgpu::Queue), wgpu::RequestDeviceError> {
//! adapter.request_device(&wgpu::DeviceDescriptor {
//!     required_features: adapter.features() & ctc_wgpu::DeviceLimits::FEATURES, // subgroups, f16
//!     required_limits: adapter.limits(), // larger bindings: fewer tiles
//!     ..Default::default()
//! })
//! # .await
//! # }
//! ```
//!
//! `wgpu::Limits::downlevel_defaults()` is too small: a stage binds up to
//! [`DeviceLimits::STORAGE_BUFFERS`](crate::DeviceLimits::STORAGE_BUFFERS) storage buffers.
//! [`GpuCtc::new`](crate::GpuCtc::new) returns an error in that case.
//!
//! # Memory
//!
//! A plan owns its workspace. Two batches that are encoded from one plan use it one after the
//! other. The size of the workspace is known before a device exists:
//!
//! ```
//! use ctc_wgpu::{BatchShape, DeviceLimits, Options, Plan, Task};
//!
//! let shape = BatchShape::new(16, 256, 80, 100); // N, T, C, Lmax
//! let limits = DeviceLimits::default();
//! let plan = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &limits)?;
//! println!("{plan}"); // the stages, how they are split, and the workspace
//!
//! // A lower limit splits the batch into tiles that run one after the other. This takes less
//! // memory, but uses less of the GPU at a time.
//! let tight = limits.max_binding(1 << 20);
//! let frugal = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &tight)?;
//! assert!(frugal.batch_tiles() > plan.batch_tiles());
//! assert!(frugal.workspace_bytes() < plan.workspace_bytes());
//! # Ok::<(), ctc_wgpu::PlanError>(())
//! ```
//!
//! - Create a plan once per shape and keep it: it compiles pipelines and allocates memory. If
//!   lengths vary from batch to batch, round `T` and `Lmax` up to a few sizes. Frames and labels
//!   past an item's length cost little and change no bit.
//! - [`Buffers::in_place`](crate::Buffers::in_place) writes the gradient over the logits and saves
//!   their size; [`BatchShape::f16`](crate::BatchShape::f16) halves both.
//! - [`GpuCtc::plan_loss`](crate::GpuCtc::plan_loss) computes losses without a gradient, for
//!   example of a validation set: it stores no states and takes half the steps.
//!
//! # Profiling
//!
//! [`GpuPlan::prepare`](crate::GpuPlan::prepare) creates the bind groups for a set of buffers once,
//! which saves time in a loop that uses the same buffers in every step.
//! [`Prepared::stages`](crate::Prepared::stages) returns the dispatches, so that you can record
//! them one by one into passes of your own. On a device with `Features::TIMESTAMP_QUERY` and
//! `TIMESTAMP_QUERY_INSIDE_PASSES`, one pass measures the time of every stage:
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
//!     stage.encode(&mut pass); // stage.name() is `check_labels`, `softmax_stats`, …
//!     pass.write_timestamp(&times, index);
//! }
//! drop(pass);
//! encoder.resolve_query_set(&times, 0..count, &ticks, 0);
//! // Read `ticks` back as u64. Stage i took
//! // (ticks[i + 1] - ticks[i]) * queue.get_timestamp_period() nanoseconds. For `label_links` and
//! // `join`, this is what remains after the sweep that runs at the same time.
//! # Ok(ticks)
//! # }
//! ```
//!
//! The page of [`Prepared`](crate::Prepared) has an example with one pass per stage, for devices
//! with only `TIMESTAMP_QUERY`. `ctc-wgpu bench --stages` measures stages in these ways. Tools such
//! as RenderDoc and Nsight show stages by name, as debug groups.
//!
//! # First use
//!
//! The first plan on a device compiles its kernels, in parallel. A driver may take seconds for
//! that. Most desktop drivers cache compiled kernels on disk. For others,
//! [`GpuCtc::with_cache`](crate::GpuCtc::with_cache) takes a `wgpu::PipelineCache` that your
//! program saves. Request `Features::PIPELINE_CACHE` for it when creating the device.
//!
//! # Alignment, decoding, occupancies
//!
//! Plans of [`plan_align`](crate::GpuCtc::plan_align) and
//! [`plan_greedy`](crate::GpuCtc::plan_greedy) are recorded in the same way, with their own
//! buffers:
//!
//! ```no_run
//! use ctc_wgpu::{AlignBuffers, BatchShape, GpuCtc, Options};
//! # fn demo(device: &wgpu::Device, queue: &wgpu::Queue, logits: &wgpu::Buffer, labels: &wgpu::Buffer,
//! #   label_lengths: &wgpu::Buffer) -> Result<(), ctc_wgpu::Error> {
//! let [n, t, c, l] = [32, 50, 20, 6];
//! let shape = BatchShape::new(n, t, c, l);
//! let plan = GpuCtc::new(device, queue)?.plan_align(&shape, &Options::default())?;
//! let output = |words: usize| {
//!     device.create_buffer(&wgpu::BufferDescriptor {
//!         label: None,
//!         size: 4 * words as u64,
//!         usage: wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC,
//!         mapped_at_creation: false,
//!     })
//! };
//! let (path, log_probs, path_log_prob) = (output(n * t), output(n * t), output(n));
//! let (spans, probabilities) = (output(2 * n * l), output(n * l));
//! let buffers = AlignBuffers::new(logits, labels, label_lengths)
//!     .path(&path)
//!     .log_probs(&log_probs)
//!     .spans(&spans)
//!     .probabilities(&probabilities)
//!     .path_log_prob(&path_log_prob);
//! let mut encoder = device.create_command_encoder(&Default::default());
//! plan.encode_align(&mut encoder, &buffers)?;
//! queue.submit([encoder.finish()]);
//! # Ok(())
//! # }
//! ```
//!
//! The occupancies γ of each class are computed as a gradient: a plan with
//! [`Input::LogProbsExact`](crate::Input::LogProbsExact) writes −γ, even if the input is logits (of
//! at most 88, the limit of log-probabilities). With a weight of −1 per item it writes γ.
//!
//! # Several devices
//!
//! Create one [`GpuCtc`](crate::GpuCtc) per device. Buffers, plans and pipelines belong to one
//! device; using those of another device is an [`Error::Gpu`](crate::Error::Gpu). In data-parallel
//! training each device processes a part of the batch. Use
//! [`Reduction::Sum`](crate::Reduction::Sum) or no reduction there, and divide by the size of the
//! whole batch: the mean of the devices' means is correct only if all parts have the same size. The
//! loss of an item does not depend on the batch or the part that contains it.
//!
//! # Threads
//!
//! [`GpuCtc`](crate::GpuCtc), [`GpuPlan`](crate::GpuPlan), [`Plan`](crate::Plan),
//! [`Ctc`](crate::Ctc) and the errors are `Send` and `Sync`, and every call takes `&self`. A
//! `GpuCtc` is cheap to clone; clones share their pipelines.
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
//! Threads may encode from one plan at the same time, each into its own encoder. The queue executes
//! the recordings one after the other, so they can share the plan's workspace. As always in wgpu,
//! an encoder cannot be shared. Use two plans if the GPU should interleave two batches.
//!
//! # Processes
//!
//! A forked process has none of its parent's other threads, and a GPU driver does not work in it.
//! In the child, a [`Ctc`](crate::Ctc) on the CPU creates threads of its own. Objects on a device,
//! such as a [`GpuCtc`](crate::GpuCtc) and its plans, return
//! [`Error::Forked`](crate::Error::Forked), and dropping them leaks them: a driver that releases
//! them may wait for threads that the child does not have. For the same reason, leak your own
//! devices and buffers in the child, with `std::mem::forget`. The child may create a new
//! [`Ctc`](crate::Ctc) on a GPU, unless another thread was in a GPU call at the time of the fork.
//! End such a child with `_exit`, since some drivers (Mesa's) crash in their exit handlers.
//!
//! # Caches
//!
//! A [`GpuCtc`](crate::GpuCtc) caches at most 128 pipelines for later plans
//! ([`set_pipeline_limit`](crate::GpuCtc::set_pipeline_limit)). A [`Ctc`](crate::Ctc) also caches
//! the plans and buffers of its four most recent shapes
//! ([`set_cache_limits`](crate::Ctc::set_cache_limits)). The least recently used are dropped first.
//! A plan keeps its own pipelines as long as it exists.
