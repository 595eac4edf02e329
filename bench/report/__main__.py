"""Ends a run of the benchmark suite: tables on the terminal, results as JSON, plots as SVG.

    python3 bench/report --samples FILE --build FILE --suite full|quick|smoke|growth --out FOLDER

Writes FOLDER/results.json (growth.json for the growth curves) and FOLDER/plots/. Fails if no sample is there. A bar that
is not met is a result, not a failure.
"""

import argparse
import json
import pathlib
import sys

import bars
import machine
import plots
import samples
import tables


def arguments():
    parser = argparse.ArgumentParser(description="Tables and plots of the benchmark suite")
    parser.add_argument("--samples", type=pathlib.Path, required=True)
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--suite", choices=["full", "quick", "smoke", "growth"], required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    return parser.parse_args()


def print_machine(result):
    print("Machine")
    for name, value in {**result["machine"], **result["build"]}.items():
        print(f"  {name}: {value}")
    print("Versions")
    for name, version in result["versions"].items():
        print(f"  {name}: {version}")


def main():
    args = arguments()
    taken = samples.read(args.samples)
    if not taken:
        sys.exit("report: there are no samples")
    cases = samples.summarise(taken)
    result = {
        "suite": args.suite,
        "machine": machine.describe(),
        "build": json.loads(args.build.read_text(encoding="utf-8")),
        "versions": {sample["peer"]: sample["version"] for sample in taken},
        "cases": cases,
    }
    growth = args.suite == "growth"
    if not growth:
        result["bars"] = bars.judge(cases)

    folder = args.out / "plots"
    folder.mkdir(parents=True, exist_ok=True)
    (plots.draw_growth if growth else plots.draw_bars)(cases, folder)
    path = args.out / ("growth.json" if growth else "results.json")
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    print_machine(result)
    print()
    tables.print_medians(cases)
    print()
    print(f"{path}, {folder}/*.svg")
    if not growth:
        print()
        tables.print_bars(result["bars"], args.suite)


main()
