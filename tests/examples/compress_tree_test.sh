#!/bin/sh
# compress_tree_test.sh <program> <folder to work in> <case>: runs one case, each a function below.
# The program is run in the folder, on trees that are made there.
set -eu

program=$1
work=$2
case=$3

fail() {
    echo "FAILED: $*" >&2
    for stream in out err; do
        [ ! -f "$stream" ] || { echo "--- std$stream"; cat "$stream"; } >&2
    done
    exit 1
}

# Also undoes what the cases did to permissions, so that the next run can start afresh.
clean_up() {
    cd /
    [ ! -d "$work" ] || chmod -R u+rwX "$work"
    rm -rf "$work"
}

# run <expected exit status> <command…>: leaves its output in out and err.
run() {
    expected=$1
    shift
    status=0
    "$@" >out 2>err || status=$?
    [ "$status" -eq "$expected" ] || fail "exit status $status instead of $expected: $*"
}

# expect <file> <count> <pattern>: so many lines match the extended regular expression.
expect() {
    found=$(grep -Ec -- "$3" "$1" || true)
    [ "$found" -eq "$2" ] || fail "$found lines instead of $2 in $1 match: $3"
}

# expect_table <files> <bytes>: a row for each way, in order, all with the same ratio.
expect_table() {
    expect out 1 '^way +files +bytes +ratio +wall time +longest gap$'
    rows=$(awk -v files="$1" -v bytes="$2" '$2 == files && $3 == bytes && $5 ~ /^[0-9.]+$/ && $6 == "s" \
        && $7 ~ /^[0-9.]+$/ && $8 == "ms" && (ratio == "" || ratio == $4) { ratio = $4; print $1 }' out)
    [ "$(echo $rows)" = "inline uv_queue_work libexecq" ] || fail "the table's good rows are: $(echo $rows)"
    expect out 1 '^longest gap beyond 10 ms: libexecq [0-9.]+ ms, inline [0-9.]+ ms.* \(wanted: at most 0\.200\)$'
    expect out 1 '^wall time, libexecq to uv_queue_work: [0-9.]+ \(wanted: at most 1\.000\)$'
    expect out 1 '^output: the same in all ways, [0-9]+ bytes, CRC-32 [0-9a-f]{8}$'
}

# A word of so many letters.
word() {
    printf "%0$1d" 0 | tr 0 x
}

# 4 files of 300,010 bytes in all.
make_tree() {
    mkdir -p tree/sub/.hidden
    printf '0123456789' >tree/small
    head -c 200000 /dev/urandom >tree/sub/noise
    head -c 100000 /dev/zero >"tree/sub/.hidden/with space"
    : >tree/empty
}

# Root may read what it likes, unless it gives the right to do so away.
without_privileges() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --bounding-set=-dac_override,-dac_read_search "$@"
    else
        "$@"
    fi
}

counts_every_file_and_names_the_unreadable() {
    make_tree
    # Neither followed nor opened.
    mkfifo tree/pipe
    ln -s small tree/link
    ln -s ../sub tree/sub/loop
    ln -s nowhere tree/dangling
    # A file that is listed but cannot be opened, not even by root: the folder's path is just short enough, the
    # file's is not. The folder is made elsewhere, because no path reaches into its place.
    name=$(word 200)
    deep=tree
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19; do deep=$deep/$name; done
    mkdir -p "$deep" staging
    echo text >"staging/$(word 100)"
    mv staging "$deep/$name"

    run 0 "$program" --rounds 1 --threads 2 tree
    expect_table 4 300010
    expect out 1 '^tree, 2 threads, median of 1$'
    expect err 1 '^unreadable: tree/x+/.*/x{100}: File name too long$'
    expect err 1 '^unreadable in all: 1$'
    expect err 2 ''
}

names_ten_unreadable_and_counts_the_rest() {
    make_tree
    mkdir tree/locked
    echo text >tree/locked/unseen
    chmod 000 tree/locked
    for n in 01 02 03 04 05 06 07 08 09 10 11 12; do
        echo text >"tree/secret$n"
        chmod 000 "tree/secret$n"
    done

    run 0 without_privileges "$program" --rounds 1 tree
    expect_table 4 300010
    expect err 1 '^unreadable: tree/locked: Permission denied$'
    expect err 9 '^unreadable: tree/secret0[1-9]: Permission denied$'
    expect err 1 '^and 3 more$'
    expect err 1 '^unreadable in all: 13$'
    expect err 12 ''
}

takes_the_medians_of_all_rounds() {
    make_tree
    run 0 "$program" --rounds 4 --threads 3 tree/
    expect_table 4 300010
    expect out 1 '^tree/, 3 threads, median of 4$'
    expect err 0 ''
}

# The kernel gives another uuid at each reading.
fails_where_the_ways_differ() {
    run 1 "$program" --rounds 1 /proc/sys/kernel/random
    expect err 1 '^compress_tree: the ways differ in /proc/sys/kernel/random/uuid '
    expect err 1 '^compress_tree: '
    expect out 1 '^libexecq '
    expect out 0 '^output: the same'
}

says_that_a_folder_has_no_files() {
    mkdir -p tree/sub
    ln -s nowhere tree/dangling
    mkfifo tree/pipe
    run 0 "$program" tree
    expect out 1 '^no files under tree: nothing to compress$'
    expect out 1 ''
    expect err 0 ''
}

fails_where_the_folder_cannot_be_opened() {
    run 1 "$program" missing
    expect err 1 '^compress_tree: missing: No such file or directory$'
    expect out 0 ''

    echo text >file
    run 1 "$program" file
    expect err 1 '^compress_tree: file: Not a directory$'
    expect out 0 ''
}

refuses_wrong_arguments() {
    make_tree
    for wrong in --rounds=0 --rounds=100 --rounds=1x --rounds= --rounds=-1 --rounds=99999999999999999999 \
        --threads=0 --threads=1025 --threads=many --nonsense -x --help=1; do
        run 2 "$program" "$wrong" tree
        expect err 1 '^usage: compress_tree '
        expect out 0 ''
    done
    run 2 "$program" tree --rounds
    expect err 1 '^usage: compress_tree '
    run 2 "$program" tree tree
    expect err 1 '^usage: compress_tree '
    run 2 "$program" ''
    expect err 1 '^usage: compress_tree '
}

helps_on_request() {
    run 0 "$program" --help
    expect out 1 '^usage: compress_tree '
    expect out 1 '^  --rounds N '
    expect out 1 '^  --threads N '
    expect err 0 ''
}

# Progress is erased at the end of each of the three runs: the sequence for it is what shows that there was a terminal.
shows_progress_on_a_terminal_only() {
    make_tree
    erase=$(printf '\r\033\\[K')
    run 0 "$program" --rounds 1 tree
    expect err 0 ''
    expect out 0 "$erase"
    run 0 script -qec "'$program' --rounds 1 tree" /dev/null
    erased=$(grep -o "$erase" out | wc -l)
    [ "$erased" -eq 3 ] || fail "erased $erased times instead of 3"
    expect out 1 'output: the same in all ways'
}

fails_where_the_table_cannot_be_written() {
    make_tree
    status=0
    "$program" --rounds 1 tree >/dev/full 2>err || status=$?
    [ "$status" -eq 1 ] || fail "exit status $status instead of 1"
    expect err 1 '^compress_tree: standard output: No space left on device$'
}

clean_up
trap clean_up EXIT
mkdir -p "$work"
cd "$work"
"$case"
echo "passed: $case"
