"""CPython's own tests of thread-pool executors, adapted in nothing but the executor class, and its tests of futures, adapted in
nothing but the class of these. The text comes from Debian's libpython3-testsuite and is adapted on the way.

usage: cpython_suite.py [--repeat N] [TEST NAME PART…]"""

import argparse
import importlib.util
import os
import pathlib
import re
import subprocess
import sys
import tempfile

CHANGES = [  # pattern, replacement, how often at least
    (r"\bfutures\.ThreadPoolExecutor\b", "execq.ThreadPoolExecutor", 5),
    (r"\bfrom concurrent\.futures import ThreadPoolExecutor\b", "from execq import ThreadPoolExecutor", 1),
    (r"\bfrom concurrent\.futures import \{executor_type\}", "from execq import {executor_type}", 3),
    (r"(?m)^from concurrent import futures$", "import execq\nfrom concurrent import futures", 1),
    (r"(?m)^import multiprocessing\.process$", "from execq import Future\nimport multiprocessing.process", 1),
]
WANTED = re.compile(r"^(ThreadPool\w*|Future)Tests?$")


def adapted():
    spec = importlib.util.find_spec("test.test_concurrent_futures")
    if spec is None or not spec.origin:
        sys.exit("CPython's tests are not installed (Debian: libpython3-testsuite)")
    text = pathlib.Path(spec.origin).read_text()
    for pattern, replacement, least in CHANGES:
        text, count = re.subn(pattern, replacement, text)
        if count < least:
            sys.exit(f"{spec.origin}: {pattern} stands there {count} times, not {least}")
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("parts", nargs="*")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "adapted.py"
        path.write_text(adapted())
        names = re.findall(r"(?m)^class (\w+)\(", path.read_text())
        # create_executor_tests() makes the others: ThreadPoolInitializerTest and the like.
        names += ["ThreadPoolInitializerTest", "ThreadPoolFailingInitializerTest", "ThreadPoolAsCompletedTest"]
        wanted = [f"adapted.{name}" for name in names if WANTED.match(name)]
        arguments = [part for name in options.parts for part in ("-k", name)]
        for _ in range(options.repeat):
            environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")])))
            code = subprocess.call([sys.executable, "-m", "unittest", "-v", *arguments, *wanted], env=environment)
            if code:
                return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
