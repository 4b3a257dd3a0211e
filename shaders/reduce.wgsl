// reduce: adds the scaled losses of a tile to the reduced loss.
//
// formula: reduced = Σ_n scale[n] · loss[n].
// in: items [G], loss [N].
// in, out: reduced [1].
// grid: one workgroup. A dispatch continues from the value of the tile before.
// barriers: one after lane 0 has cleared the flags, and those of the fold.

override LANES: u32 = 256u;

@group(0) @binding(1) var<storage, read> items: array<Item>;
@group(0) @binding(2) var<storage, read> loss: array<u32>;
@group(0) @binding(3) var<storage, read_write> reduced: array<u32>;

var<workgroup> sh_sum: array<f32, LANES>;
var<workgroup> sh_nan: atomic<u32>;
var<workgroup> sh_plus: atomic<u32>;
var<workgroup> sh_minus: atomic<u32>;

// Sets the flag of scale · loss, given the bits of a loss that is infinite or NaN. Such values are
// not added, because WGSL does not guarantee that a sum preserves them. The top bit is the sign.
fn set_flag(bits: u32, scale: f32) {
    if ((bits & 0x007fffffu) != 0u) {
        atomicStore(&sh_nan, 1u);
    } else if (((bits & TOP_BIT) == 0u) == (scale > 0.0)) {
        atomicStore(&sh_plus, 1u);
    } else {
        atomicStore(&sh_minus, 1u);
    }
}

@compute @workgroup_size(LANES)
fn reduce(@builtin(local_invocation_index) lane: u32) {
    if (lane == 0u) {
        atomicStore(&sh_nan, 0u);
        atomicStore(&sh_plus, 0u);
        atomicStore(&sh_minus, 0u);
    }
    workgroupBarrier();
    var sum = 0.0;
    for (var g = lane; g < params.tile_items; g += LANES) {
        let scale = items[g].scale;
        let bits = loss[params.item_base + g];
        // An item of weight 0 does not contribute, whatever its loss.
        if (scale != 0.0) {
            if (is_finite(bits)) {
                sum += scale * bitcast<f32>(bits);
            } else {
                set_flag(bits, scale);
            }
        }
    }
    sh_sum[lane] = sum;
    workgroupBarrier();
    for (var d = LANES / 2u; d > 0u; d /= 2u) {
        if (lane < d) {
            sh_sum[lane] += sh_sum[lane + d];
        }
        workgroupBarrier();
    }
    if (lane != 0u) {
        return;
    }
    var total = sh_sum[0];
    if (params.first_dispatch == 0u) {
        let before = reduced[0];
        if (is_finite(before)) {
            total += bitcast<f32>(before);
        } else {
            set_flag(before, 1.0);
        }
    }
    let plus = atomicLoad(&sh_plus) != 0u;
    let minus = atomicLoad(&sh_minus) != 0u;
    var bits = bitcast<u32>(total);
    if (atomicLoad(&sh_nan) != 0u || (plus && minus)) {
        bits = NAN;
    } else if (plus) {
        bits = INFINITY;
    } else if (minus) {
        bits = MINUS_INFINITY;
    }
    reduced[0] = bits;
}
