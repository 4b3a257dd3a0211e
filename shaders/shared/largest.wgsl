// The maximum over the lanes of a workgroup, through workgroup memory. Called at most once.

var<workgroup> sh_largest: atomic<i32>;

// The largest of the lanes' values; 0 if all are negative.
fn largest_in_workgroup(lane: u32, own: i32) -> i32 {
    if (lane == 0u) {
        atomicStore(&sh_largest, 0);
    }
    workgroupBarrier();
    atomicMax(&sh_largest, own);
    workgroupBarrier();
    return atomicLoad(&sh_largest);
}
