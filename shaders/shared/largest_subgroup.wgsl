// The maximum over the lanes of a workgroup that is one subgroup.

// The largest of the lanes' values; 0 if all are negative.
fn largest_in_workgroup(lane: u32, own: i32) -> i32 {
    return max(subgroupMax(own), 0);
}
