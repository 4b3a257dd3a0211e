use ctc_wgpu::{Batch, Ctc, Goal, Limits, Options, Plan, Shape, decode};
use std::time::Instant;
fn main() -> Result<(), ctc_wgpu::Error> {
    for room in [128u64 << 20, 1 << 31] {
        let limits = Limits {
            max_binding: room,
            max_buffer: 1 << 32,
            ..Limits::default()
        };
        let plan = Plan::new(
            &Shape::new(1, 180_000, 32, 20_000),
            &Options::default(),
            Goal::Align,
            &limits,
        )?;
        println!(
            "{:.0} MiB, {} pages",
            plan.workspace_bytes() as f64 / 1048576.0,
            plan.pages()
        );
    }
    let args: Vec<usize> = std::env::args()
        .skip(1)
        .map(|a| a.parse().unwrap())
        .collect();
    let gpu = Ctc::gpu("")?;
    println!("{}", gpu.backend());
    for d in args.chunks_exact(4) {
        let [n, t, c, l] = [d[0], d[1], d[2], d[3]];
        let mut x = 1u64;
        let mut r = || {
            x = x
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            ((x >> 33) as f32) / (1u64 << 31) as f32
        };
        let values: Vec<f32> = (0..n * t * c).map(|_| 6.0 * r() - 3.0).collect();
        let labels: Vec<i32> = (0..n * l)
            .map(|_| 1 + (r() * (c - 1) as f32) as i32 % (c as i32 - 1))
            .collect();
        let lengths = vec![l as i32; n];
        let batch = Batch::new([n, t, c], &values).labels(&labels, &lengths);
        let o = Options::default();
        for round in 0..3 {
            let s = Instant::now();
            let a = gpu.align(&batch, &o)?;
            let ga = s.elapsed();
            let s = Instant::now();
            let b = decode::align(&batch, &o)?;
            let ca = s.elapsed();
            let s = Instant::now();
            let g = gpu.greedy(&batch, &o)?;
            let gg = s.elapsed();
            let s = Instant::now();
            let h = decode::greedy(&batch, &o)?;
            let cg = s.elapsed();
            let s = Instant::now();
            let _ = gpu.loss(&batch, &o)?;
            let gl = s.elapsed();
            println!(
                "{d:?} {round}: align gpu {ga:.2?} cpu {ca:.2?}; greedy gpu {gg:.2?} cpu {cg:.2?}; loss gpu {gl:.2?}; same {}",
                a[0].path == b[0].path && g[0].labels == h[0].labels
            );
            if t > 50_000 {
                break;
            }
        }
    }
    Ok(())
}
