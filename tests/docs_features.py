"""Every test that docs/features.md and docs/guarantees.md name is there: file, and name where one is given."""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])


def sources(unit):
    folder, name = unit.split("/")
    return [path for path in (root / "tests" / folder).glob(f"{name}*") if path.suffix in (".c", ".cc", ".py")]


def problems(text):
    for unit, name in re.findall(r"`((?:base|task|sched|flow|capi|cpp|children|faults|stress|soak|model|abi|trace)/\w+)(?:: (\w+))?`", text):
        found = sources(unit)
        if not found:
            yield f"{unit}: no such file"
        elif name and not any(re.search(rf"\b{name}\b", path.read_text()) for path in found):
            yield f"{unit}: no test {name}"


def functions(text):
    declared = "".join(path.read_text() for path in (root / "include" / "execq").glob("*.h"))
    for name in re.findall(r"`(execq_\w+|EXECQ_\w+)[`.]", text):
        if not re.search(rf"\b{name}\b", declared):
            yield f"{name}: declared nowhere"


wrong = []
for page in ("features.md", "guarantees.md"):
    text = (root / "docs" / page).read_text()
    wrong += [f"{page}: {problem}" for problem in [*problems(text), *functions(text)]]
    if "`capi/" not in text:
        wrong.append(f"{page} names no test at all")
rows = re.findall(r"^\| (\d+) \| .*`\w+/\w+", (root / "docs" / "guarantees.md").read_text(), re.MULTILINE)
wrong += [f"guarantees.md: {number} has no test" for number in range(1, 23) if str(number) not in rows]
print("\n".join(wrong) or "every name is there")
sys.exit(1 if wrong else 0)
