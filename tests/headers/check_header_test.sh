#!/usr/bin/env bash
# check_header_test.sh <compiler>…: headers that are wrong in one way each must not pass check_header.sh.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
samples=$(mktemp -d)
trap 'rm -rf "$samples"' EXIT

printf '#pragma once\nint f(int a);\n' >"$samples/good.h"
printf '#pragma once\nuint32_t f(void);\n' >"$samples/not_alone.h"
printf '#pragma once\nstatic inline int f(void) { return __extension__ 1; }\nenum { A = 1,, };\n' >"$samples/syntax.h"
printf '#pragma once\nstruct empty {};\nlong long f(int a[static 1]);\n' >"$samples/c_only.h"
printf 'struct twice { int a; };\n' >"$samples/no_guard.h"

fail() {
    echo "$*" >&2
    exit 1
}

for compiler in "$@"; do
    for standard in c99 c11 c17 c++11 c++20; do
        "$here/check_header.sh" "$compiler" $standard good.h "$samples" || fail "$compiler $standard refuses good.h"
        for bad in not_alone syntax no_guard c_only; do
            # An empty struct is an extension in C, an array parameter with static is none of C++.
            if "$here/check_header.sh" "$compiler" $standard $bad.h "$samples" 2>/dev/null; then
                fail "$compiler $standard accepts $bad.h"
            fi
        done
    done
done
if "$here/check_header.sh" no-such-compiler c99 good.h "$samples" 2>/dev/null; then
    fail "a missing compiler passes"
fi
echo ok
