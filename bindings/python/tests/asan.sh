#!/usr/bin/env bash
# The tests with the extension and the library under AddressSanitizer. Python itself is not instrumented, and leaves at its end
# what it always does: leaks are looked for by the growth test instead.
set -euo pipefail
python=$1 package=$2 out=$3
rm -rf "$out/asan"
mkdir -p "$out/asan"
cmake -S "$package/../.." -B "$out/asan-library" ${EXECQ_GENERATOR:--G Ninja} -DCMAKE_BUILD_TYPE=Debug -DEXECQ_SANITIZE=address \
    -DEXECQ_BUILD_TESTS=OFF -DEXECQ_BUILD_EXAMPLES=OFF -DEXECQ_BUILD_BENCH=OFF -DEXECQ_INSTALL=OFF >"$out/asan-configure.log"
cmake --build "$out/asan-library" --target execq --parallel >"$out/asan-build.log"
include=$("$python" -c 'import sysconfig; print(sysconfig.get_path("include"))')
suffix=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
cp -r "$package/execq" "$out/asan/execq"
rm -f "$out/asan/execq/"*.so*
cc -std=gnu11 -Wall -Wextra -Werror -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer \
    -shared -fPIC -fvisibility=hidden "-I$include" "-I$package/../../include" "$package"/src/*.c \
    -o "$out/asan/execq/_execq$suffix" "-L$out/asan-library" -lexecq "-Wl,-rpath,$out/asan-library"
export PYTHONPATH=$out/asan ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:quarantine_size_mb=1:thread_local_quarantine_size_kb=16 PYTHONMALLOC=malloc
LD_PRELOAD="$(cc -print-file-name=libasan.so) $(cc -print-file-name=libstdc++.so.6)" EXECQ_TASKS=20000 \
    "$python" -m unittest test_pool test_aio test_native
