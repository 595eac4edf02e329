"""Makes deliberate faults in a copy of the library, one at a time, and sees that the test named for each catches it.

    guarantees.py [--jobs N] [--check] [--markdown] [N…]     N: the number of a guarantee of docs/guarantees.md

The faults are in tests/mutation/guarantees.toml. The copy and its build folder are kept in build/mutation/guarantees, so
that only what a change touches is built anew. A test counts as having caught a fault if it passes without it, fails with it
(or runs into a limit of 30 seconds, or of five times what it took before), and fails in the case that is named.

--check: only whether each text is found exactly once, each guarantee has a fault, and each test is named beside it.
--markdown: the table of docs/verification/mutation.md.
"""

import argparse
import dataclasses
import fcntl
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
GUARANTEES = 22
CONFIGURATION = ["-G", "Ninja", "-DCMAKE_C_FLAGS=-O1", "-DCMAKE_CXX_FLAGS=-O1", "-DEXECQ_BUILD_BENCH=OFF",
                 "-DEXECQ_BUILD_EXAMPLES=OFF", "-DEXECQ_BUILD_TESTS=ON"]


@dataclasses.dataclass(frozen=True)
class Fault:
    guarantee: int
    says: str
    file: str
    text: str
    change: str
    test: str  # "capi/queue: a_batch_keeps_its_order", or without a case
    targets: tuple = ()

    @property
    def program(self):
        return self.test.split(":")[0].replace("/", ".")

    @property
    def case(self):
        return self.test.split(": ")[1] if ": " in self.test else None

    @property
    def builds(self):
        return self.targets or (self.program,)


# ---- the list ----


def read_faults(text):
    faults = []
    for entry in tomllib.loads(text)["fault"]:
        entry["targets"] = tuple(entry.get("targets", ()))
        # A block of lines begins behind its quotes, as TOML has it, and is not indented; one line is just that.
        faults.append(Fault(**entry))
    return faults


def rows_of(page):
    """{number: the rest of its row} of docs/guarantees.md."""
    return {int(number): rest for number, rest in re.findall(r"^\| (\d+) \|(.*)$", page, re.M)}


def problems(root, faults):
    """A line for each entry that does not fit the sources or docs/guarantees.md."""
    found, rows = [], rows_of((root / "docs/guarantees.md").read_text(encoding="utf-8"))
    for fault in faults:
        where = f"guarantee {fault.guarantee}, {fault.says}"
        path = root / fault.file
        count = path.read_text(encoding="utf-8").count(fault.text) if path.is_file() else 0
        if count != 1:
            found.append(f"{where}: the text is found {count} times in {fault.file}")
        if fault.text == fault.change:
            found.append(f"{where}: changes nothing")
        if f"`{fault.test}`" not in rows.get(fault.guarantee, ""):
            found.append(f"{where}: `{fault.test}` is not named beside it in docs/guarantees.md")
    covered = {fault.guarantee for fault in faults}
    found += [f"guarantee {number} has no fault" for number in range(1, GUARANTEES + 1) if number not in covered]
    return found


# ---- the copy ----


def files_of(root):
    """All files of the project, those that git does not know yet included."""
    listed = subprocess.run(["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, check=True).stdout.decode()
    return {name for name in listed.split("\0") if name and (root / name).is_file()}


def synchronize(root, names, tree):
    """Makes the copy as the project is; files that are the same are left alone, with their times."""
    for path in [path for path in tree.rglob("*") if path.is_file()]:
        if str(path.relative_to(tree)) not in names:
            path.unlink()
    for name in names:
        source, copy = root / name, tree / name
        if copy.is_file() and copy.read_bytes() == source.read_bytes():
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, copy)


class Changed:
    """The copy with one fault in it, as long as it is entered."""

    def __init__(self, tree, fault):
        self.path, self.fault = tree / fault.file, fault

    def __enter__(self):
        self.before = self.path.read_text(encoding="utf-8")
        if self.before.count(self.fault.text) != 1:
            raise SystemExit(f"guarantees.py: {self.fault.file} does not have the text exactly once")
        self.path.write_text(self.before.replace(self.fault.text, self.fault.change), encoding="utf-8")

    def __exit__(self, *_):
        self.path.write_text(self.before, encoding="utf-8")


# ---- building and running ----


def started_cases(output):
    return re.findall(r"\[\s+RUN\s+\] (?:\w+\.)?(\w+)", output)


def failing_cases(output):
    """The cases that a GoogleTest or CMocka program has failed in; one that it did not come back from is the last."""
    failed = set(re.findall(r"\[\s+FAILED\s+\] (?:\w+\.)?(\w+)", output))
    started = started_cases(output)
    ended = set(re.findall(r"\[\s+(?:OK|FAILED|ERROR|SKIPPED)\s+\] (?:\w+\.)?(\w+)", output))
    if started and started[-1] not in ended:
        failed.add(started[-1])
    return failed


def verdict_of(fault, failed, output):
    """("caught", how), or ("SURVIVED", why)."""
    if not failed:
        return "SURVIVED", "the test passes"
    if fault.case is None:
        return "caught", "fails"
    cases = failing_cases(output)
    if fault.case in cases:
        return "caught", "does not end" if "***Timeout" in output else "fails"
    return "SURVIVED", "the test fails, but not in this case: " + (", ".join(sorted(cases)) or "in none")


class Workshop:
    def __init__(self, root, jobs):
        self.folder = root / "build/mutation/guarantees"
        self.tree, self.build_folder = self.folder / "tree", self.folder / "build"
        self.root, self.jobs = root, jobs
        self.tree.mkdir(parents=True, exist_ok=True)
        self.alone = open(self.folder / "lock", "w", encoding="utf-8")  # open until the end: two runs do not share a copy
        fcntl.flock(self.alone, fcntl.LOCK_EX)
        synchronize(root, files_of(root), self.tree)
        if not (self.build_folder / "build.ninja").exists():
            launcher = [f"-DCMAKE_{language}_COMPILER_LAUNCHER=ccache" for language in ("C", "CXX")]
            self.must("configure", ["cmake", "-S", self.tree, "-B", self.build_folder, *CONFIGURATION,
                                    *(launcher if shutil.which("ccache") else [])])

    def must(self, what, command):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"guarantees.py: {what} failed\n{done.stdout[-3000:]}{done.stderr[-3000:]}")

    def build(self, targets):
        """None, or what the compiler said."""
        done = subprocess.run(["cmake", "--build", self.build_folder, "--parallel", str(self.jobs), "--target", *targets],
                              capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stdout[-3000:] + done.stderr[-3000:]

    def run(self, fault, limit):
        """(whether it failed, what it said, seconds)"""
        environment = dict(os.environ)
        if fault.case is not None:
            environment |= {"GTEST_FILTER": f"*.{fault.case}", "EXECQ_TEST": fault.case}
        command = ["ctest", "--test-dir", self.build_folder, "-R", f"^{re.escape(fault.program)}$", "-V",
                   "--no-tests=error", "--timeout", str(limit)]
        began = time.monotonic()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                   errors="replace", start_new_session=True)
        output, _ = process.communicate()
        try:
            os.killpg(process.pid, signal.SIGKILL)  # what a test that was ended has left
        except ProcessLookupError:
            pass
        if "No tests were found" in output:
            raise SystemExit(f"guarantees.py: there is no test {fault.program}")
        return process.returncode != 0, output, time.monotonic() - began


def run_all(root, faults, jobs):
    """True if something is wrong."""
    shop = Workshop(root, jobs)
    said = shop.build(sorted({target for fault in faults for target in fault.builds}))
    if said is not None:
        raise SystemExit(f"guarantees.py: the copy does not build\n{said}")
    caught, took = 0, {}
    for fault in faults:
        key = (fault.program, fault.case)
        if key not in took:
            failed, output, took[key] = shop.run(fault, 400)
            if failed:
                raise SystemExit(f"guarantees.py: {fault.test} fails without a change\n{output[-3000:]}")
            if fault.case is not None and started_cases(output) != [fault.case]:
                raise SystemExit(f"guarantees.py: {fault.test} does not run by itself\n{output[-3000:]}")
    for fault in faults:
        with Changed(shop.tree, fault):
            said = shop.build(fault.builds)
            limit = int(max(30, 5 * took[(fault.program, fault.case)]))
            failed, output, _ = (False, said, 0) if said is not None else shop.run(fault, limit)
        verdict, how = ("did not compile", said) if said is not None else verdict_of(fault, failed, output)
        caught += verdict == "caught"
        print(f"{fault.guarantee:2} {fault.says}: {verdict} by {fault.test} ({how})", flush=True)
    shop.build(sorted({target for fault in faults for target in fault.builds}))  # as it was, for the next time
    print(f"{caught} of {len(faults)} faults caught, of {len({fault.guarantee for fault in faults})} guarantees")
    return caught != len(faults)


def markdown(faults):
    def cell(text):
        return text.replace("|", "\\|")

    lines = ["| # | fault | where | caught by |", "|---|---|---|---|"]
    for fault in faults:
        lines.append(f"| {fault.guarantee} | {cell(fault.says)} | `{fault.file}` | `{fault.test}` |")
    return "\n".join(lines)


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("EXECQ_JOBS", os.cpu_count() or 1)))
    parser.add_argument("--check", action="store_true", help="only whether the list fits the sources")
    parser.add_argument("--markdown", action="store_true", help="only the table for the documents")
    parser.add_argument("numbers", nargs="*", type=int, metavar="N", help="the number of a guarantee")
    given = parser.parse_args(arguments)
    faults = read_faults((root / "tests/mutation/guarantees.toml").read_text(encoding="utf-8"))
    wrong = problems(root, faults)
    if wrong:
        print("\n".join(wrong))
        return True
    if given.check:
        print(f"{len(faults)} faults for {GUARANTEES} guarantees, each found exactly once")
        return False
    if given.markdown:
        print(markdown(faults))
        return False
    chosen = [fault for fault in faults if not given.numbers or fault.guarantee in given.numbers]
    if not chosen:
        raise SystemExit("guarantees.py: there is no such guarantee")
    return run_all(root, chosen, given.jobs)


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
