#!/usr/bin/env bash
# consume.sh install | pkg_config | find_package | add_subdirectory
# The environment says where things are: SOURCE, BUILD, STAGE, VERSION, LIBDIR, and the tools CC, CXX, CMAKE.
set -euo pipefail
here=$(dirname "$(realpath "$0")")
prefix=$STAGE/moved
libdir=$prefix/$LIBDIR

fail() {
    echo "$*" >&2
    exit 1
}

# Installs, then moves the whole prefix: nothing in it may remember where it was.
install_and_move() {
    rm -rf "$STAGE/first" "$prefix"
    "$CMAKE" --install "$BUILD" --prefix "$STAGE/first"
    ! grep -rl "$STAGE/first" "$STAGE/first" || fail "these files know the prefix"
    ! grep -rlI "$BUILD" "$STAGE/first" || fail "these files know the build folder"
    ! readelf -d "$STAGE/first/$LIBDIR/libexecq.so" | grep -E 'RPATH|RUNPATH' || fail "the library carries a path"
    [ ! -e "$STAGE/first/$LIBDIR/libexecq_static.a" ] || fail "the library for white-box tests is installed"
    mv "$STAGE/first" "$prefix"
    diff -r "$SOURCE/include/execq" "$prefix/include/execq" || fail "the headers are not complete"
    [ -L "$libdir/libexecq.so" ] && [ -f "$libdir/libexecq.so.$VERSION" ] || fail "the library is not complete"
    [ -s "$prefix/share/execq/execq_ffi.h" ] || fail "the declarations-only header is missing"
}

with_pkg_config() {
    export PKG_CONFIG_PATH=$libdir/pkgconfig
    local work=$STAGE/pkg_config
    rm -rf "$work" && mkdir -p "$work"
    [ "$(pkg-config --modversion execq)" = "$VERSION" ] || fail "execq.pc has another version"
    local flags uv_flags
    flags=$(pkg-config --cflags --libs execq)
    uv_flags=$(pkg-config --cflags --libs execq libuv)
    ! grep -q -- -luv <<<"$flags" || fail "execq.pc makes its users link libuv: $flags"
    # shellcheck disable=SC2086 # flags are words
    {
        "$CC" -std=c99 -Wall -Wextra -Werror -o "$work/submit" "$here/submit.c" $flags
        "$CC" -std=c99 -Wall -Wextra -Werror -o "$work/loop" "$here/loop.c" $uv_flags
    }
    LD_LIBRARY_PATH=$libdir "$work/submit"
    LD_LIBRARY_PATH=$libdir "$work/loop"
}

# configure_and_build <folder of the consumer> <cmake argument>…: leaves the result in $STAGE/<its name>.
configure_and_build() {
    local work=$STAGE/$1
    rm -rf "$work"
    "$CMAKE" -G Ninja -S "$here/$1" -B "$work" -Dsources="$here" "${@:2}"
    "$CMAKE" --build "$work" --parallel 2
}

with_find_package() {
    local minor=${VERSION#*.}
    minor=${minor%%.*}
    configure_and_build find_package -DCMAKE_PREFIX_PATH="$prefix" -Dversion="$VERSION" -Dother_minor=$((minor + 1))
    for program in submit_c submit_cc loop_c loop_cc submit_hpp; do
        "$STAGE/find_package/$program"
    done
}

with_add_subdirectory() {
    configure_and_build add_subdirectory -Dexecq_source="$SOURCE"
    "$STAGE/add_subdirectory/submit"
    [ -z "$(find "$STAGE/add_subdirectory" -name '*_test*' -not -path '*/CMakeFiles/*')" ] || fail "tests were built"
}

case ${1:-} in
    install) install_and_move ;;
    pkg_config) with_pkg_config ;;
    find_package) with_find_package ;;
    add_subdirectory) with_add_subdirectory ;;
    *) fail "unknown way: ${1:-}" ;;
esac
