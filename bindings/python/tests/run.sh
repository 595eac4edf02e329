#!/usr/bin/env bash
# Builds the wheel into $out, installs it into a fresh virtual environment there and runs the tests from a folder of their own.
# For ./run python; the arguments are the same.
set -euo pipefail
tests=$(cd "$(dirname "$0")" && pwd)
package=$(dirname "$tests")
out=${out:?where to build}

mkdir -p "$out"
rm -rf "$out/venv" "$out/wheel" "$package/build" "$package"/*.egg-info
python3 -m venv "$out/venv"
pip() { "$out/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install -r "$tests/requirements.txt"

EXECQ_FROM_TREE=1 EXECQ_BUILD_DIR="$out/library" pip wheel --no-deps --wheel-dir "$out/wheel" "$package"
pip install --no-deps "$out"/wheel/*.whl
rm -rf "$package/build" "$package"/*.egg-info

python=$out/venv/bin/python
cd "$tests"
case ${1:-all} in
    all)
        "$python" -m unittest discover -p 'test_*.py'
        "$python" cpython_suite.py
        (cd "$package" && "$python" -m mypy --strict --cache-dir "$out/mypy" -p execq && "$python" -m mypy --strict \
            --cache-dir "$out/mypy" tests/typed.py)
        ;;
    cpython) "$python" cpython_suite.py "${@:2}" ;;
    bench) "$python" -m execq.bench "${@:2}" ;;
    asan) "$tests/asan.sh" "$python" "$package" "$out" ;;
    *) "$python" -m unittest "$@" ;;
esac
