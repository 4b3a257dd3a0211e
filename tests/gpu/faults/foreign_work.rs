//! Other work on the same device: a renderer that adds to a texture, and a kernel that updates a
//! buffer.

use std::time::{Duration, Instant};

use crate::support::device::Gpu;

const WGSL: &str = "
struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) @interpolate(flat) iterations: u32,
}

// A triangle over the whole texture. The index of the first instance is the number of loop
// iterations of each fragment.
@vertex
fn corner(@builtin(vertex_index) i: u32, @builtin(instance_index) iterations: u32) -> Corner {
    let at = vec2<f32>(f32(i / 2u), f32(i % 2u)) * 4.0 - 1.0;
    return Corner(vec4<f32>(at, 0.0, 1.0), iterations);
}

@fragment
fn fragment(corner: Corner) -> @location(0) vec4<f32> {
    var x = corner.position.x * 0.001;
    for (var i = 0u; i < corner.iterations; i++) {
        x = fract(x * 1.37 + 0.11);
    }
    // No fraction reaches 2, but compilers cannot infer that.
    return vec4<f32>(1.0 / 255.0, select(0.0, 1.0, x >= 2.0), 0.0, 1.0);
}

@group(0) @binding(0) var<storage, read_write> words: array<u32>;

@compute @workgroup_size(64)
fn count(@builtin(global_invocation_id) id: vec3<u32>) {
    words[id.x] = words[id.x] * 3u + id.x;
}
";

/// A texture's width and height.
const SIDE: u32 = 128;

/// Words of the buffer.
const WORDS: u32 = 64;

/// The maximum loop iterations of a fragment: llvmpipe ends loops at 65,535.
const ITERATIONS: u32 = 60_000;

pub(super) struct ForeignWork {
    texture: wgpu::Texture,
    render: wgpu::RenderPipeline,
    words: wgpu::Buffer,
    compute: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
    draws: std::cell::Cell<u32>,
    counts: std::cell::Cell<u32>,
}

impl ForeignWork {
    pub(super) fn new(gpu: &Gpu) -> Self {
        let device = &gpu.device;
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("foreign work"),
            source: wgpu::ShaderSource::Wgsl(WGSL.into()),
        });
        let texture = device.create_texture(&wgpu::TextureDescriptor {
            label: Some("foreign work"),
            size: texture_size(),
            mip_level_count: 1,
            sample_count: 1,
            dimension: wgpu::TextureDimension::D2,
            format: wgpu::TextureFormat::Rgba8Unorm,
            usage: wgpu::TextureUsages::RENDER_ATTACHMENT | wgpu::TextureUsages::COPY_SRC,
            view_formats: &[],
        });
        let added = wgpu::BlendComponent {
            src_factor: wgpu::BlendFactor::One,
            dst_factor: wgpu::BlendFactor::One,
            operation: wgpu::BlendOperation::Add,
        };
        let render = device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
            label: Some("foreign work"),
            layout: None,
            vertex: wgpu::VertexState {
                module: &module,
                entry_point: Some("corner"),
                compilation_options: Default::default(),
                buffers: &[],
            },
            primitive: Default::default(),
            depth_stencil: None,
            multisample: Default::default(),
            fragment: Some(wgpu::FragmentState {
                module: &module,
                entry_point: Some("fragment"),
                compilation_options: Default::default(),
                targets: &[Some(wgpu::ColorTargetState {
                    format: texture.format(),
                    blend: Some(wgpu::BlendState {
                        color: added,
                        alpha: added,
                    }),
                    write_mask: wgpu::ColorWrites::ALL,
                })],
            }),
            multiview_mask: None,
            cache: None,
        });
        let compute = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some("foreign work"),
            layout: None,
            module: &module,
            entry_point: Some("count"),
            compilation_options: Default::default(),
            cache: None,
        });
        let words = gpu.buffer(&[1; WORDS as usize]);
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("foreign work"),
            layout: &compute.get_bind_group_layout(0),
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: words.as_entire_binding(),
            }],
        });
        Self {
            texture,
            render,
            words,
            compute,
            group,
            draws: Default::default(),
            counts: Default::default(),
        }
    }

    /// Adds 1 to each texel `times` times, with `iterations` loop iterations per fragment.
    pub(super) fn draw(&self, encoder: &mut wgpu::CommandEncoder, times: u32, iterations: u32) {
        let load = match self.draws.get() {
            0 => wgpu::LoadOp::Clear(wgpu::Color::TRANSPARENT),
            _ => wgpu::LoadOp::Load,
        };
        let view = self.texture.create_view(&Default::default());
        let mut pass = encoder.begin_render_pass(&wgpu::RenderPassDescriptor {
            label: Some("foreign work"),
            color_attachments: &[Some(wgpu::RenderPassColorAttachment {
                view: &view,
                depth_slice: None,
                resolve_target: None,
                ops: wgpu::Operations {
                    load,
                    store: wgpu::StoreOp::Store,
                },
            })],
            ..Default::default()
        });
        pass.set_pipeline(&self.render);
        for _ in 0..times {
            pass.draw(0..3, iterations..iterations + 1);
        }
        self.draws.set(self.draws.get() + times);
    }

    /// Runs the kernel once.
    pub(super) fn count(&self, encoder: &mut wgpu::CommandEncoder) {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&self.compute);
        pass.set_bind_group(0, &self.group, &[]);
        pass.dispatch_workgroups(WORDS / 64, 1, 1);
        self.counts.set(self.counts.get() + 1);
    }

    /// Submits draws that take the device about `time`. Measures the time of one draw first.
    pub(super) fn keep_busy(&self, gpu: &Gpu, time: Duration) {
        let draw = |times| {
            let mut encoder = gpu.encoder();
            self.draw(&mut encoder, times, ITERATIONS);
            gpu.queue.submit([encoder.finish()]);
        };
        draw(1);
        gpu.read(&self.words).unwrap();
        let start = Instant::now();
        draw(1);
        gpu.read(&self.words).unwrap();
        let once = start.elapsed().max(Duration::from_millis(1));
        let times = time.as_millis().div_ceil(once.as_millis()) as u32;
        println!("{}: {times} draws of {once:?}", gpu.name);
        // A texel counts draws in 8 bits.
        draw(times.min(250 - self.draws.get()));
    }

    /// Panics unless the texture and the buffer have the right contents.
    pub(super) fn check(&self, gpu: &Gpu) {
        let bytes_per_row = SIDE * 4;
        let copy = gpu.buffer(&vec![0; (SIDE * SIDE) as usize]);
        let mut encoder = gpu.encoder();
        encoder.copy_texture_to_buffer(
            self.texture.as_image_copy(),
            wgpu::TexelCopyBufferInfo {
                buffer: &copy,
                layout: wgpu::TexelCopyBufferLayout {
                    offset: 0,
                    bytes_per_row: Some(bytes_per_row),
                    rows_per_image: None,
                },
            },
            texture_size(),
        );
        gpu.queue.submit([encoder.finish()]);
        let alpha = if self.draws.get() > 0 { 255 } else { 0 };
        let texel = u32::from_le_bytes([self.draws.get() as u8, 0, 0, alpha]);
        assert_eq!(
            gpu.read(&copy).unwrap(),
            vec![texel; (SIDE * SIDE) as usize]
        );
        let word = |id: u32| {
            (0..self.counts.get()).fold(1_u32, |word, _| word.wrapping_mul(3).wrapping_add(id))
        };
        let words: Vec<_> = (0..WORDS).map(word).collect();
        assert_eq!(gpu.read(&self.words).unwrap(), words);
    }
}

fn texture_size() -> wgpu::Extent3d {
    wgpu::Extent3d {
        width: SIDE,
        height: SIDE,
        depth_or_array_layers: 1,
    }
}
