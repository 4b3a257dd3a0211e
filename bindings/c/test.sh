#!/usr/bin/env bash
# Installs what the tests need, builds the library, and runs its tests and examples from C and C++: as they are, under
# AddressSanitizer and under valgrind; on the GPU (or a software one) and on the CPU. Nothing is skipped.
set -euo pipefail
cd "$(dirname "$0")"

. ../../tests/setup.sh

step "what the tests need"
install_packages gcc g++ libc6-dev valgrind pkg-config mesa-vulkan-drivers libvulkan1

step "format, clippy, documentation and the crate's own tests"
cargo fmt --check
check_crates
cargo test "${crates[@]}" --lib --test header

step "build and install"
./install.sh "$scratch/prefix"
export PKG_CONFIG_PATH=$scratch/prefix/lib/pkgconfig
read -ra shared <<<"$(pkg-config --cflags --libs ctc-wgpu) -Wl,-rpath,$scratch/prefix/lib -lm"
read -ra static <<<"$(pkg-config --cflags ctc-wgpu) $scratch/prefix/lib/libctc_wgpu_c.a $(pkg-config --static --libs-only-l ctc-wgpu | sed 's/-lctc_wgpu_c//') -lm"
c=(gcc -std=c11 -g -O1 -Wall -Wextra -Wno-missing-field-initializers -Wpedantic -Werror)
cpp=(g++ -std=c++17 -g -O1 -Wall -Wextra -Wpedantic -Werror)
sanitize=(-fsanitize=address,undefined -fno-sanitize-recover=all)

step "what the shared library gives away"
# Nothing but the header's functions, so that two libraries of Rust in one program do not meet.
nm -D --defined-only "$scratch/prefix/lib/libctc_wgpu_c.so" | awk '{ print $3 }' | sort >"$scratch/given"
grep -o 'ctcw_[a-z_]*(' include/ctc_wgpu.h | tr -d '(' | sort -u >"$scratch/declared"
diff "$scratch/declared" "$scratch/given"
cat "$scratch/given"

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
    # Drivers keep memory to the end of the process.
    leaks=1
    [ "$backend" = cpu ] || leaks=0
    for program in abi fork loss_c loss_cpp; do
        echo "- $program"
        ASAN_OPTIONS=detect_leaks=$leaks "$scratch/${program}_asan" "$backend"
    done
done

step "under valgrind, on the CPU"
# Drivers translate shaders into instructions that valgrind does not know; what is only "possibly lost" is the pool's threads, which
# live as long as the process.
for program in abi loss_c loss_cpp; do
    echo "- $program"
    valgrind --quiet --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --error-exitcode=99 "$scratch/$program" cpu
done
# A child has a copy of what its parent's threads own, and no such thread: to valgrind that is lost.
echo "- fork"
valgrind --quiet --leak-check=no --error-exitcode=99 "$scratch/fork" cpu

step "all checks passed"
