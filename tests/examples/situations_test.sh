#!/bin/sh
# situations_test.sh <program> <number>: the program prints exactly what belongs to that situation, in C and in C++ alike.
set -eu

program=$1
number=$2

expected() {
    case $number in
        1)
            echo 'main thread  the loop goes on meanwhile'
            echo 'worker       the blocking function returns'
            echo 'main thread  an answer'
            ;;
        2 | 3)
            echo 'worker       the blocking function starts work on its loop'
            echo 'worker       its loop works: the timer is due'
            echo 'worker       the blocking function returns'
            echo 'main thread  rested'
            ;;
        4 | 5)
            echo 'worker       the asynchronous work starts'
            echo 'worker       its loop works: the timer is due'
            echo 'main thread  rested'
            ;;
    esac
}

out=$("$program" 2>&1) || { echo "FAILED: exit status $?: $out" >&2; exit 1; }
[ "$out" = "$(expected)" ] || { printf 'FAILED: it printed\n%s\ninstead of\n%s\n' "$out" "$(expected)" >&2; exit 1; }
echo "passed"
