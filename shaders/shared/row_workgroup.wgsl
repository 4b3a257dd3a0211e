// The workgroup of kernels that process rows: LANES lanes per row, ROWS rows per workgroup.

override LANES: u32 = 32u;
override ROWS: u32 = 4u;
