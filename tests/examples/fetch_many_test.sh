#!/bin/sh
# fetch_many_test.sh <program> <python> <folder to work in> <case>: runs one case, each a function below, in the folder.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
program=$1
python=$2
work=$3
case=$4
server=

fail() {
    echo "FAILED: $*" >&2
    for stream in out err; do
        [ ! -f "$stream" ] || { echo "--- std$stream"; cat "$stream"; } >&2
    done
    exit 1
}

clean_up() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    cd /
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

# is <file> <text>: that is all there is in it.
is() {
    [ "$(cat "$1")" = "$2" ] || fail "$1 is not: $2"
}

# expect <file> <count> <pattern>: so many lines match the extended regular expression.
expect() {
    found=$(grep -Ec -- "$3" "$1" || true)
    [ "$found" -eq "$2" ] || fail "$found lines instead of $2 in $1 match: $3"
}

# serve <kind>: another server (see odd_server.py), at port $port.
serve() {
    mkfifo port
    "$python" "$here/odd_server.py" "$1" >port &
    server=$!
    read -r port <port
}

# All answers are held back until all connections are open. A worker takes what is there: nothing says that it leaves
# some to the other one.
fetches_two_thousand_at_once() {
    run 0 "$program"
    expect out 1 '^2000 fetched, 0 failed, at most 2000 at once, on (1 worker|2 workers)$'
    is err ''
}

fetches_one() {
    run 0 "$program" 1
    is out '1 fetched, 0 failed, at most 1 at once, on 1 worker'
    is err ''
}

raises_the_soft_limit_of_descriptors() {
    run 0 sh -c 'ulimit -S -n 256; exec "$0" 300' "$program"
    expect out 1 '^300 fetched, 0 failed, at most 300 at once, on (1 worker|2 workers)$'
}

says_where_the_hard_limit_is_too_low() {
    run 1 sh -c 'ulimit -n 256; exec "$0" 300' "$program"
    is err 'fetch_many: 300 at once need 664 descriptors, the limit is 256 (ulimit -Hn)'
    is out ''
}

fetches_from_another_server() {
    serve answers
    run 0 "$program" 20 "localhost:$port"
    expect out 1 '^20 fetched, 0 failed, at most [0-9]+ at once, on (1 worker|2 workers)$'
    is err ''
    run 0 "$program" 1 "[127.0.0.1]:$port"
}

gives_up_on_a_server_that_never_answers() {
    serve silent
    run 1 "$program" --timeout 1000 30 "127.0.0.1:$port"
    expect out 1 '^0 fetched, 30 failed, at most [0-9]+ at once, on 0 workers$'
    is err 'failed: 30, timed out'
}

# The time is up while names are looked up, connections made, answers awaited: each fetch is counted once all the same.
gives_up_at_any_step() {
    for timeout in 1 3 10 30 100; do
        status=0
        "$program" --timeout $timeout >out 2>err || status=$?
        expect out 1 '^[0-9]+ fetched, [0-9]+ failed, at most [0-9]+ at once, on [0-2] workers?$'
        fetched=$(cut -d' ' -f1 out)
        failed=$((2000 - fetched))
        expect out 1 "^$fetched fetched, $failed failed, "
        if [ $failed -eq 0 ]; then
            [ $status -eq 0 ] || fail "exit status $status"
            is err ''
        else
            [ $status -eq 1 ] || fail "exit status $status"
            is err "failed: $failed, timed out"
        fi
    done
}

names_the_step_that_failed() {
    serve closed
    run 1 "$program" 3 "localhost:$port"
    is out '0 fetched, 3 failed, at most 0 at once, on 0 workers'
    is err 'failed: 3, connect: connection refused'
    # A name with an empty label: no name server is asked.
    run 1 "$program" 3 "a..b:$port"
    is err 'failed: 3, resolve: unknown node or service'
    # libuv takes no name of more than 255 bytes, and fails in the call.
    run 1 "$program" 3 "$(printf '%0300d' 0):$port"
    expect err 1 '^failed: 3, resolve: '
    # A request that is too long cannot even be submitted.
    run 1 "$program" 3 "$(printf '%0600d' 0):$port"
    is err 'failed: 3, invalid argument'
}

refuses_answers_that_are_none() {
    serve odd
    run 1 "$program" 6 "127.0.0.1:$port"
    is out '0 fetched, 6 failed, at most 6 at once, on 0 workers'
    sort err >sorted
    is sorted "$(sort <<'TEXT'
failed: 1, exchange: no HTTP answer
failed: 1, exchange: HTTP/1.0 500 Out of order
failed: 2, exchange: the answer is cut off
failed: 1, exchange: no room for the answer
failed: 1, exchange: connection reset by peer
TEXT
    )"
}

refuses_wrong_arguments() {
    for wrong in 0 -1 20001 many 1x '' 99999999999999999999 --timeout=0 --timeout=3600001 --timeout=soon --nonsense; do
        run 2 "$program" "$wrong"
        expect err 1 '^usage: fetch_many '
        is out ''
    done
    for wrong in '' localhost :80 localhost: localhost:0 localhost:65536 localhost:http; do
        run 2 "$program" 1 "$wrong"
        expect err 1 '^usage: fetch_many '
    done
    run 2 "$program" 1 localhost:80 more
    expect err 1 '^fetch_many: one argument too many: more$'
}

helps_on_request() {
    run 0 "$program" --help
    expect out 1 '^usage: fetch_many '
    is err ''
}

rm -rf "$work"
trap clean_up EXIT
mkdir -p "$work"
cd "$work"
"$case"
echo "passed: $case"
