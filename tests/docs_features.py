"""Every test that docs/features.md names is there: file, and name where one is given."""

import pathlib
import re
import sys

root = pathlib.Path(sys.argv[1])


def sources(unit):
    folder, name = unit.split("/")
    return [path for path in (root / "tests" / folder).glob(f"{name}_*.c*") if path.suffix in (".c", ".cc")]


def problems(text):
    for unit, name in re.findall(r"`((?:base|task|sched|flow|capi|cpp|stress|model)/\w+)(?:: (\w+))?`", text):
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


text = (root / "docs" / "features.md").read_text()
wrong = [*problems(text), *functions(text)]
print("\n".join(wrong) or "every name is there")
sys.exit(1 if wrong or "`capi/" not in text else 0)
