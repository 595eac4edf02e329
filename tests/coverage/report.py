"""Puts the counts of all tests together and says which lines and branches of the library never ran.

    report.py --build build/coverage --source .

Each test has written its counts below build/counts/<test>. A file that a child was ended in the middle of is left out, and
told. Reports: build/report/index.html, uncovered.txt; fails below the thresholds.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys

LEAST = {"lines": 95.0, "branches": 90.0}
PARTS = {"src and capi": "(src|capi)/", "execq.hpp": "include/execq/.*hpp"}
# Branches that the compiler makes and no source line decides: the null check of `delete`, the guard and the failure of a
# static's first use, the comparison of types in a catch clause.
NO_BRANCHES = [r"\s*delete\b.*", r"\s*static (const )?[\w:<>, ]+ \w+( = [^{]*)?;$", r"\s*\}\(\);$", r".*\bcatch \(.*"]


def broken(paths):
    """Those that gcov cannot read to the end."""
    said = subprocess.run(["gcov-dump", "-l", *paths], check=False, capture_output=True, text=True)
    marks = [line for line in (said.stdout + said.stderr).splitlines() if "UNKNOWN" in line or "mismatch" in line
             or "not a gcov file" in line or "overflow" in line]
    return [path for path in paths if any(line.startswith(f"{path}:") for line in marks)]


def merge(counts, build):
    """Adds up what each test has counted, into the .gcda files beside the objects. Returns what was left out."""
    lost, total = [], None
    for test in sorted(path for path in counts.iterdir() if path.is_dir() and not path.name.startswith("_")):
        for path in broken(sorted(test.rglob("*.gcda"))):
            lost.append(f"{test.name}: {path.stem}")
            path.unlink()
        if total is None:
            total = test
            continue
        out = counts / f"_{test.name}"
        shutil.rmtree(out, ignore_errors=True)
        subprocess.run(["gcov-tool", "merge", "-o", out, total, test], check=True, capture_output=True)
        if total.name.startswith("_"):
            shutil.rmtree(total)
        total = out
    for path in total.rglob("*.gcda"):
        target = pathlib.Path("/") / path.relative_to(total)
        if build in target.parents:
            shutil.copyfile(path, target)
    if total.name.startswith("_"):
        shutil.rmtree(total)
    return lost


def gcovr(source, build, out):
    """Runs gcov and gives gcovr's data; only of what PARTS names."""
    out.mkdir(exist_ok=True)
    command = ["gcovr", "--root", source, "--object-directory", build, "--exclude-throw-branches",
               "--exclude-unreachable-branches", "--gcov-ignore-parse-errors", "--json", out / "coverage.json",
               "--html-details", out / "index.html"]
    for part in PARTS.values():
        command += ["--filter", f"{source}/{part}"]
    command += ["--exclude-branches-by-pattern", "|".join(NO_BRANCHES)]  # gcovr takes one
    subprocess.run([*command, build], check=True, stdout=subprocess.DEVNULL)
    return json.loads((out / "coverage.json").read_text())


def figures(files):
    """lines, lines that ran, branches, branches that were taken."""
    sums = [0, 0, 0, 0]
    for file in files:
        for line in counted(file):
            sums[0] += 1
            sums[1] += line["count"] != 0
            sums[2] += len(line["branches"])
            sums[3] += sum(branch["count"] != 0 for branch in line["branches"])
    return sums


def counted(file):
    """The lines of a file that are code."""
    return [line for line in file["lines"] if not line.get("gcovr/noncode") and not line.get("gcovr/excluded")]


def uncovered(files, source):
    """Each line that did not run, and each with a branch that was not taken, with its text."""
    for file in files:
        text = (source / file["file"]).read_text().splitlines()
        for line in counted(file):
            missing = sum(branch["count"] == 0 for branch in line["branches"])
            if line["count"] == 0 or missing:
                what = "never" if line["count"] == 0 else f"{missing} of {len(line['branches'])} branches"
                yield f"{file['file']}:{line['line_number']}: {what}: {text[line['line_number'] - 1].strip()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--build", "--source"):
        parser.add_argument(option, required=True, type=lambda text: pathlib.Path(text).resolve())
    arguments = parser.parse_args()
    out = arguments.build / "report"
    lost = merge(arguments.build / "counts", arguments.build)
    data = gcovr(arguments.source, arguments.build, out)
    enough = True
    for part, pattern in PARTS.items():
        files = [file for file in data["files"] if file["file"].startswith(("src/", "capi/")) == ("src" in pattern)]
        lines, ran, branches, taken = figures(files)
        shares = {"lines": 100 * ran / max(lines, 1), "branches": 100 * taken / max(branches, 1)}
        print(f"{part}: {ran} of {lines} lines ({shares['lines']:.1f} %), {taken} of {branches} branches "
              f"({shares['branches']:.1f} %)")
        if part == "src and capi":
            enough = all(shares[what] >= least for what, least in LEAST.items())
    (out / "uncovered.txt").write_text("\n".join(uncovered(data["files"], arguments.source)) + "\n")
    for name in lost:
        print(f"counts left out: {name}")
    print(f"what is left: {out}/uncovered.txt, {out}/index.html, and with reasons docs/verification/coverage.md")
    if not enough:
        print(f"too little: at least {LEAST['lines']} % of the lines and {LEAST['branches']} % of the branches of src and capi")
    return 0 if enough else 1


if __name__ == "__main__":
    sys.exit(main())
