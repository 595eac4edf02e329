#!/bin/sh
# What a failing seed says: how to replay it, and its steps; and that it says the same again.
# usage: replay_test.sh PROGRAM NAME, of a scenario with a fault
set -eu
program=$1 name=$2
fail() {
    echo "$1" >&2
    exit 1
}
number=$("$program" | sed -n 's/.*found by seed number \([0-9]*\).*/\1/p')
[ -n "$number" ] || fail "no seed is named"
seed=$((number - 1))
first=$("$program" --seed "$seed" --trace)
second=$("$program" --seed "$seed" --trace)
[ "$first" = "$second" ] || fail "seed $seed is not the same twice"
echo "$first" | grep -q "^replay: ./run schedules $name --seed $seed\$" || fail "how to replay it is not said"
echo "$first" | grep -q "^ *[0-9]*  thread 1  *exchange  " || fail "the steps lack the look of who wakes"
echo "$first" | grep -q "_toy.cc:[0-9]" || fail "the steps do not say where they are"
other=$("$program" --seed $((seed + 8)) --trace || true)
[ "$first" != "$other" ] || fail "another seed is the same"
echo "seed $seed of $name: the same steps twice"
