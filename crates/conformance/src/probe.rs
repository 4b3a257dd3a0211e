//! Measures the arithmetic of a driver where WGSL leaves it open. The results help to explain
//! failures.

use std::fmt;

use super::device::Gpu;
use super::random::Rng;
use ctc_wgpu::internal::guarded;

const WGSL: &str = include_str!("probe.wgsl");

/// The number of operands per operation.
const OPERANDS: usize = 1 << 15;

/// The operations of `probe.wgsl`, in its order.
#[derive(Debug, Clone, Copy)]
enum Operation {
    Exp2,
    Log2,
    Exp,
    Log,
    Divide,
    Sqrt,
    Fma,
    MultiplyAdd,
    TwoSum,
    Loop,
    LnTwo,
    Multiply,
    Add,
}

/// The rounding of a product to which a number is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounding {
    /// Rounded once, after the sum.
    Once,
    /// Rounded before the sum and after it.
    Twice,
    /// Neither of these for all operands.
    Other,
}

/// The measured arithmetic of a driver. Errors are in ulp of the exact result; correct rounding
/// gives at most half an ulp.
#[derive(Debug, Clone, PartialEq)]
pub struct Numerics {
    /// The error of `exp2`, for arguments in [−125, 125]. WGSL allows 3 + 2·|x|.
    pub exp2: f64,
    /// The error of `log2` outside of [0.5, 2], where WGSL allows an absolute error of 2^-21.
    pub log2: f64,
    /// The error of `exp`. WGSL allows 3 + 2·|x|.
    pub exp: f64,
    /// The error of `log`, for the arguments of `log2`.
    pub log: f64,
    /// The error of division. WGSL allows 2.5.
    pub division: f64,
    /// The error of `sqrt`.
    pub sqrt: f64,
    /// The rounding of `fma`, which WGSL allows to round twice.
    pub fma: Rounding,
    /// The rounding of `x * y + z`, which a driver may contract to one rounding.
    pub multiply_add: Rounding,
    /// True if the driver reorders sums as if addition were associative.
    pub reassociates: bool,
    /// True if the rounding error of a difference can be computed (Knuth's two-sum). Reordering may
    /// break this.
    pub keeps_two_sums: bool,
    /// True if a subnormal operand is flushed to 0.
    pub flushes_operands: bool,
    /// True if a subnormal result is flushed to 0.
    pub flushes_results: bool,
    /// True if an overflow gives infinity, and infinity minus infinity gives NaN.
    pub keeps_infinities: bool,
}

impl Numerics {
    /// Measures the arithmetic of a device.
    ///
    /// # Errors
    /// An error of wgpu.
    pub fn of(gpu: &Gpu) -> Result<Self, String> {
        let evaluate_on_gpu = |operation, operands: &[[f32; 4]]| evaluate(gpu, operation, operands);
        let of_one = |operation, draw: &dyn Fn(&mut Rng) -> f32, right: fn(f64) -> f64| {
            let operands = random_operands(|rng| [draw(rng), 1.0, 0.0, 0.0]);
            let worst = |got: Vec<f32>| worst(&operands, &got, |v| right(v[0].into()));
            evaluate_on_gpu(operation, &operands).map(worst)
        };
        let exponents = |rng: &mut Rng| 125.0 * rng.unit();
        let powers = |rng: &mut Rng| 86.0 * rng.unit();
        let far_from_one = |rng: &mut Rng| {
            let x = rng.normal();
            if (0.5..=2.0).contains(&x) { 4.0 * x } else { x }
        };
        let quotients = random_operands(|rng| [rng.normal(), rng.normal(), 0.0, 0.0]);
        let divided = evaluate_on_gpu(Operation::Divide, &quotients)?;
        let sums = random_operands(|rng| [rng.unit(), rng.unit(), rng.unit(), 0.0]);
        let fma = evaluate_on_gpu(Operation::Fma, &sums)?;
        let multiply_add = evaluate_on_gpu(Operation::MultiplyAdd, &sums)?;
        let tiny = f32::from_bits(0x0040_0000);
        let products = [
            [tiny, 16.0, 0.0, 0.0],
            [2.0_f32.powi(-100), 2.0_f32.powi(-30), 0.0, 0.0],
            [1e38, 10.0, 0.0, 0.0],
        ];
        let product = evaluate_on_gpu(Operation::Multiply, &products)?;
        let infinity = f32::INFINITY;
        let added = [
            [infinity, 1.0, 0.0, 0.0],
            [infinity, -infinity, 0.0, 0.0],
            [f32::NAN, 1.0, 0.0, 0.0],
        ];
        let sum = evaluate_on_gpu(Operation::Add, &added)?;
        Ok(Self {
            exp2: of_one(Operation::Exp2, &exponents, f64::exp2)?,
            log2: of_one(Operation::Log2, &far_from_one, f64::log2)?,
            exp: of_one(Operation::Exp, &powers, f64::exp)?,
            log: of_one(Operation::Log, &far_from_one, f64::ln)?,
            division: worst(&quotients, &divided, |v| f64::from(v[0]) / f64::from(v[1])),
            sqrt: of_one(Operation::Sqrt, &|rng| rng.normal(), f64::sqrt)?,
            fma: rounding(&sums, &fma),
            multiply_add: rounding(&sums, &multiply_add),
            reassociates: reassociates(gpu)?,
            keeps_two_sums: keeps_two_sums(gpu)?,
            flushes_operands: product[0] == 0.0,
            flushes_results: product[1] == 0.0,
            keeps_infinities: product[2] == infinity
                && sum[0] == infinity
                && sum[1].is_nan()
                && sum[2].is_nan(),
        })
    }
}

/// Returns true if the driver reorders at least one of two sums that occur in the kernels.
fn reassociates(gpu: &Gpu) -> Result<bool, String> {
    let looped = evaluate(gpu, Operation::Loop, &[[1e9 + 64.0, 1e9, 127.0, 3.0]])?;
    let parts = random_operands(|rng| {
        let e = (100.0 * rng.unit()).round();
        [e, e * std::f32::consts::LN_2 + 0.3 * rng.unit(), 0.0, 0.0]
    });
    let rest = evaluate(gpu, Operation::LnTwo, &parts)?;
    let mut parts = parts.iter().zip(&rest);
    let merged = parts.any(|(v, got)| {
        let right = f64::from(v[1]) - f64::from(v[0]) * std::f64::consts::LN_2;
        (f64::from(*got) - right).abs() > 2e-7
    });
    Ok(looped[0] != 191.0 || merged)
}

fn keeps_two_sums(gpu: &Gpu) -> Result<bool, String> {
    let far = random_operands(|rng| [9.0 * rng.unit(), 9_007.3 + rng.unit(), 0.0, 0.0]);
    let taken = evaluate(gpu, Operation::TwoSum, &far)?;
    let exact = |v: &[f32; 4]| {
        let [x, y] = [f64::from(v[0]), f64::from(v[1])];
        (x - y) - f64::from(v[0] - v[1])
    };
    let mut sums = far.iter().zip(&taken);
    Ok(sums.all(|(v, got)| {
        let right = exact(v);
        (f64::from(*got) - right).abs() <= 1e-6 * right.abs() + 1e-12
    }))
}

fn random_operands(mut draw: impl FnMut(&mut Rng) -> [f32; 4]) -> Vec<[f32; 4]> {
    let mut rng = Rng::new(0x0009_806E);
    (0..OPERANDS).map(|_| draw(&mut rng)).collect()
}

/// Returns the largest error in ulp, over the operands whose exact result is a normal number.
fn worst(operands: &[[f32; 4]], got: &[f32], right: impl Fn(&[f32; 4]) -> f64) -> f64 {
    let errors = operands.iter().zip(got).filter_map(|(operand, got)| {
        let right = right(operand);
        let magnitude = right.abs();
        let normal = f64::from(f32::MIN_POSITIVE)..f64::from(f32::MAX);
        let ulp = (magnitude.log2().floor() - 23.0).exp2();
        let off = (f64::from(*got) - right).abs() / ulp;
        // NaN is an infinite error.
        let off = if off.is_nan() { f64::INFINITY } else { off };
        normal.contains(&magnitude).then_some(off)
    });
    errors.fold(0.0, f64::max)
}

/// Determines how `x · y + z` was rounded, from the operands for which it makes a difference.
fn rounding(operands: &[[f32; 4]], got: &[f32]) -> Rounding {
    let (mut once, mut twice) = (true, true);
    for ([x, y, z, _], got) in operands.iter().zip(got) {
        once &= x.mul_add(*y, *z) == *got;
        twice &= x * y + z == *got;
    }
    match (once, twice) {
        (true, false) => Rounding::Once,
        (false, true) => Rounding::Twice,
        _ => Rounding::Other,
    }
}

fn evaluate(gpu: &Gpu, operation: Operation, operands: &[[f32; 4]]) -> Result<Vec<f32>, String> {
    let during = format!("the arithmetic probe's {operation:?}");
    let evaluate_on_gpu = guarded(&gpu.device, &during, || run(gpu, operation, operands));
    let bits = evaluate_on_gpu.map_err(|e| e.to_string())??;
    Ok(bits.into_iter().map(f32::from_bits).collect())
}

fn run(gpu: &Gpu, operation: Operation, operands: &[[f32; 4]]) -> Result<Vec<u32>, String> {
    let device = &gpu.device;
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("probe"),
        source: wgpu::ShaderSource::Wgsl(WGSL.into()),
    });
    let constants = [("OPERATION", f64::from(operation as u32))];
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some("probe"),
        layout: None,
        module: &module,
        entry_point: Some("probe"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            ..Default::default()
        },
        cache: None,
    });
    let words: &[u32] = bytemuck::cast_slice(operands);
    let operands_buffer = gpu.buffer(words);
    let results = gpu.buffer(&vec![0x00c0_ffee; operands.len()]);
    let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("probe"),
        layout: &pipeline.get_bind_group_layout(0),
        entries: &[entry(0, &operands_buffer), entry(1, &results)],
    });
    let mut encoder = gpu.encoder();
    {
        let mut pass = encoder.begin_compute_pass(&Default::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups(operands.len().div_ceil(64) as u32, 1, 1);
    }
    gpu.queue.submit([encoder.finish()]);
    gpu.read(&results)
}

fn entry(binding: u32, buffer: &wgpu::Buffer) -> wgpu::BindGroupEntry<'_> {
    wgpu::BindGroupEntry {
        binding,
        resource: buffer.as_entire_binding(),
    }
}

/// Prints all properties in one line.
impl fmt::Display for Numerics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, ulp) in [
            ("exp2", self.exp2),
            ("log2", self.log2),
            ("exp", self.exp),
            ("log", self.log),
            ("division", self.division),
            ("sqrt", self.sqrt),
        ] {
            write!(f, "{name} {ulp:.1} ulp, ")?;
        }
        write!(f, "fma {}, x·y+z {}; ", self.fma, self.multiply_add)?;
        f.write_str(match self.reassociates {
            true => "sums are reordered, ",
            false => "sums are as written, ",
        })?;
        f.write_str(match self.keeps_two_sums {
            true => "two-sums are kept, ",
            false => "two-sums are lost, ",
        })?;
        f.write_str(match (self.flushes_operands, self.flushes_results) {
            (false, false) => "subnormals are kept, ",
            (true, false) => "subnormal operands are flushed, ",
            (false, true) => "subnormal results are flushed, ",
            (true, true) => "subnormals are flushed, ",
        })?;
        f.write_str(match self.keeps_infinities {
            true => "infinities and NaN are kept",
            false => "infinities or NaN are not kept",
        })
    }
}

impl fmt::Display for Rounding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Once => "rounds once",
            Self::Twice => "rounds twice",
            Self::Other => "rounds inconsistently",
        })
    }
}
