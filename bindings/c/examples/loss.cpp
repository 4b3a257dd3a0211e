// The same computation in C++: a context with a destructor, vectors, and errors as exceptions.

#include <ctc_wgpu.h>

#include <cmath>
#include <cstring>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

void check(ctcw_result result)
{
    if (result == CTCW_OK)
        return;
    const std::string description = ctcw_result_string(result);
    throw std::runtime_error(description + ": " + ctcw_last_error());
}

struct Destroy {
    void operator()(ctcw_context *context) const { ctcw_destroy(context); }
};
using Context = std::unique_ptr<ctcw_context, Destroy>;

Context open(int32_t backend)
{
    ctcw_context *context = nullptr;
    check(ctcw_create(backend, nullptr, &context));
    return Context(context);
}

} // namespace

int main(int argc, char **argv)
try {
    int32_t backend = CTCW_BACKEND_AUTO;
    if (argc > 1)
        backend = std::strcmp(argv[1], "cpu") == 0 ? CTCW_BACKEND_CPU : CTCW_BACKEND_GPU;
    const Context context = open(backend);
    const char *device = ctcw_backend_name(context.get());
    std::cout << "ctc-wgpu " << ctcw_version() << " on " << device << '\n';

    // The layouts of warp-ctc: time-major logits and concatenated labels.
    const std::size_t items = 2, frames = 4, classes = 3;
    const std::vector<float> logits(frames * items * classes);
    const std::vector<int32_t> labels{1, 2, /* item 1: */ 1};
    const std::vector<int32_t> label_lengths{2, 1}, logit_lengths{4, 3};

    ctcw_batch batch{};
    batch.size = sizeof batch;
    batch.items = items;
    batch.frames = frames;
    batch.classes = classes;
    batch.layout = CTCW_LAYOUT_TIME_MAJOR;
    batch.label_layout = CTCW_LABELS_CONCATENATED;
    batch.logits = logits.data();
    batch.labels = labels.data();
    batch.label_count = labels.size();
    batch.label_lengths = label_lengths.data();
    batch.logit_lengths = logit_lengths.data();

    // NULL options are the defaults.
    std::vector<float> loss(items), grad(logits.size());
    check(ctcw_compute(context.get(), &batch, nullptr, loss.data(), grad.data(), nullptr, nullptr));

    bool right = true;
    const double expected[] = {std::log(81.0 / 15.0), std::log(27.0 / 6.0)};
    for (std::size_t n = 0; n < items; ++n) {
        std::cout << "item " << n << ": loss " << loss[n] << ", expected " << expected[n] << '\n';
        right &= std::abs(loss[n] - expected[n]) < 1e-5;
    }
    return right ? 0 : 1;
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
