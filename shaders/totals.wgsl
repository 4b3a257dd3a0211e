// totals: what a reduction needs of the whole batch before any item: the sums of the label lengths and of the weights;
// and where each item's labels begin when they are concatenated.
//
// in label_lengths, weights [N].  out sums: word 0 ΣL, word 1 Σw, then the starts [N].
// grid one workgroup: a dispatch takes a window of the items and goes on from the words of the one before.

override LANES: u32 = 256u;
override CONCATENATED: bool = false;

@group(0) @binding(1) var<storage, read> label_lengths: array<i32>;
@group(0) @binding(2) var<storage, read> weights: array<f32>;
@group(0) @binding(3) var<storage, read_write> sums: array<u32>;

const STARTS: u32 = 2u;
// No buffer has so many labels: a sum of hostile lengths stops here.
const MANY: u32 = 0x7fffffffu;

var<workgroup> sh_labels: array<u32, LANES>;
var<workgroup> sh_weights: array<f32, LANES>;

@compute @workgroup_size(LANES)
fn totals(@builtin(local_invocation_index) lane: u32) {
    var label_sum = 0u;
    var weight_sum = 0.0;
    if (params.first_dispatch == 0u) {
        label_sum = sums[0];
        weight_sum = bitcast<f32>(sums[1]);
    }
    let window = params.group;
    for (var first = 0u; first < window; first += LANES) {
        let i = first + lane;
        var length = 0u;
        var weight = 0.0;
        if (i < window) {
            length = u32(max(label_lengths[params.item_base + i], 0));
            weight = weights[params.item_base + i];
        }
        sh_labels[lane] = length;
        sh_weights[lane] = weight;
        workgroupBarrier();
        // Inclusive sums (Hillis and Steele).
        for (var d = 1u; d < LANES; d *= 2u) {
            var more = 0u;
            var heavier = 0.0;
            if (lane >= d) {
                more = sh_labels[lane - d];
                heavier = sh_weights[lane - d];
            }
            workgroupBarrier();
            sh_labels[lane] = min(sh_labels[lane] + more, MANY);
            sh_weights[lane] += heavier;
            workgroupBarrier();
        }
        if (CONCATENATED && i < window) {
            sums[STARTS + params.first_item + i] = min(label_sum + (sh_labels[lane] - length), MANY);
        }
        label_sum = min(label_sum + sh_labels[LANES - 1u], MANY);
        weight_sum += sh_weights[LANES - 1u];
        workgroupBarrier();
    }
    if (lane == 0u) {
        sums[0] = label_sum;
        sums[1] = bitcast<u32>(weight_sum);
    }
}
