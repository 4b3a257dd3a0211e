"""The shapes (T, N, C, L) of the benchmarks, as in `crates/bench-support`. Needs no library."""

SHAPES = [
    (50, 32, 20, 12),
    (150, 32, 28, 40),
    (150, 64, 5000, 20),
    (256, 16, 80, 100),
    (500, 8, 1000, 100),
    (1500, 8, 32, 300),
    (2000, 4, 128, 500),
]

# What decoders read.
TRAINED_SHAPES = [(50, 32, 20, 12), (1500, 8, 32, 300), (150, 4, 5000, 20)]
