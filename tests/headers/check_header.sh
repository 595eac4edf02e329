#!/usr/bin/env bash
# check_header.sh <compiler> <standard> <header> <include dir> [<include dir of libuv> [<option>…]]
# Compiles a file that includes nothing but the header.
set -euo pipefail
compiler=$1 standard=$2 header=$3 include=$4 libuv=${5:-}

if ! command -v "$compiler" >/dev/null; then
    echo "this test needs the compiler it is named after: ${compiler}" >&2
    exit 1
fi

case $standard in
    c++*) language=c++ extra=() ;;
    *) language=c extra=(-Wstrict-prototypes) ;;
esac
extra+=("${@:6}")
if [ -n "$libuv" ] && [ "$libuv" != /usr/include ]; then
    extra+=(-isystem "$libuv")
fi

# Twice: the guard is part of it.
printf '#include <%s>\n#include <%s>\ntypedef int not_empty;\n' "$header" "$header" |
    "$compiler" -x "$language" -std="$standard" -Wall -Wextra -pedantic -Werror -Wundef "${extra[@]}" \
        -I "$include" -fsyntax-only -
