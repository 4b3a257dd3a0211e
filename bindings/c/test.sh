#!/usr/bin/env bash
# Installs the required packages, builds the library, and runs its tests and its C and C++ examples:
# directly, under AddressSanitizer and under valgrind, on the GPU (or a software GPU) and on the
# CPU. No test is skipped.
set -euo pipefail
cd "$(dirname "$0")"

. ../../tests/setup.sh

step "packages"
install_packages gcc g++ libc6-dev valgrind pkg-config mesa-vulkan-drivers libvulkan1

step "format, clippy, documentation and the crate's own tests"
cargo fmt --check
check_crates
cargo test "${crates[@]}" --lib --test header

step "build and install"
./install.sh "$scratch/prefix"
export PKG_CONFIG_PATH=$scratch/prefix/lib/pkgconfig
read -ra shared <<<"$(pkg-config --cflags --libs ctc-wgpu) -Wl,-rpath,$scratch/prefix/lib -lm"
libs=$(pkg-config --static --libs-only-l ctc-wgpu | sed 's/-lctc_wgpu_c//')
read -ra static <<<"$(pkg-config --cflags ctc-wgpu) $scratch/prefix/lib/libctc_wgpu_c.a $libs -lm"
c=(gcc -std=c11 -g -O1 -Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Werror)
cpp=(g++ -std=c++17 -g -O1 -Wall -Wextra -Wpedantic -Werror)
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all)

step "exported symbols"
# The library exports only the header's functions, so that its symbols cannot collide with those of
# another Rust library in the same program.
nm -D --defined-only "$scratch/prefix/lib/libctc_wgpu_c.so" | awk '{ print $3 }' | sort \
    >"$scratch/exported"
grep -o 'ctcw_[a-z_]*(' include/ctc_wgpu.h | tr -d '(' | sort -u >"$scratch/declared"
diff "$scratch/declared" "$scratch/exported"
cat "$scratch/exported"

step "compile"
"${c[@]}" -pthread tests/abi.c -o "$scratch/abi" "${shared[@]}"
"${c[@]}" -pthread tests/abi.c -o "$scratch/abi_static" "${static[@]}"
"${c[@]}" "${sanitize[@]}" -pthread tests/abi.c -o "$scratch/abi_asan" "${static[@]}"
"${c[@]}" -pthread tests/fork.c -o "$scratch/fork" "${shared[@]}"
"${c[@]}" "${sanitize[@]}" -pthread tests/fork.c -o "$scratch/fork_asan" "${static[@]}"
"${c[@]}" examples/loss.c -o "$scratch/loss_c" "${shared[@]}"
"${cpp[@]}" examples/loss.cpp -o "$scratch/loss_cpp" "${shared[@]}"
"${c[@]}" "${sanitize[@]}" examples/loss.c -o "$scratch/loss_c_asan" "${static[@]}"
"${cpp[@]}" "${sanitize[@]}" examples/loss.cpp -o "$scratch/loss_cpp_asan" "${static[@]}"

for backend in cpu gpu; do
    step "run on the $backend"
    for program in abi abi_static fork loss_c loss_cpp; do
        echo "- $program"
        "$scratch/$program" "$backend"
    done
    step "under AddressSanitizer on the $backend"
    # GPU drivers keep some memory until the process ends.
    leaks=1
    [ "$backend" = cpu ] || leaks=0
    for program in abi fork loss_c loss_cpp; do
        echo "- $program"
        ASAN_OPTIONS=detect_leaks=$leaks "$scratch/${program}_asan" "$backend"
    done
done

step "under valgrind, on the CPU"
# Software drivers compile shaders to instructions that valgrind does not support, so the GPU is
# left out. The "possibly lost" blocks belong to the thread pool, which lives as long as the
# process.
for program in abi loss_c loss_cpp; do
    echo "- $program"
    valgrind --quiet --leak-check=full --show-leak-kinds=definite \
        --errors-for-leak-kinds=definite --error-exitcode=99 "$scratch/$program" cpu
done
# A child has a copy of the memory of the parent's threads but not the threads, so valgrind would
# report that memory as lost.
echo "- fork"
valgrind --quiet --leak-check=no --error-exitcode=99 "$scratch/fork" cpu

step "all checks passed"
