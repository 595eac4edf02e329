"""guarantees.py on a small project: each kind of wrong entry is found, a fault is caught only by the case that is named, and
the copy is as the project again afterwards."""

import pathlib
import subprocess
import sys
import tempfile

import guarantees
from guarantees import Fault

CATCHES = Fault(1, "adds too much", "src/sum.c", "return a + b;", "return a + b + 1;", "capi/sum: adds")
FAULT = """
[[fault]]
guarantee = 1
says = "adds too much"
file = "src/sum.c"
text = "return a + b;"
change = "return a + b + 1;"
test = "capi/sum: adds"
"""


def expect(got, wanted, what):
    if got != wanted:
        sys.exit(f"{what}: {got!r}, wanted {wanted!r}")


def check_list(root):
    expect(guarantees.read_faults(FAULT), [CATCHES], "the list")
    rest = [Fault(number, "-", "src/other.c", "one", "two", "model/other") for number in range(2, 23)]
    expect(guarantees.problems(root, [CATCHES, *rest]), [], "a list that fits")
    for wrong, what in [
        (Fault(1, "x", "src/sum.c", "return b + a;", "", "capi/sum: adds"), "found 0 times"),
        (Fault(1, "x", "src/sum.c", "int", "long", "capi/sum: adds"), "found 3 times"),
        (Fault(1, "x", "src/gone.c", "int", "long", "capi/sum: adds"), "found 0 times"),
        (Fault(1, "x", "src/sum.c", "return a + b;", "return a + b;", "capi/sum: adds"), "changes nothing"),
        (Fault(1, "x", "src/sum.c", "return a + b;", "return 0;", "capi/sum: add"), "not named"),
        (Fault(2, "x", "src/sum.c", "return a + b;", "return 0;", "capi/sum: adds"), "not named"),
    ]:
        found = guarantees.problems(root, [CATCHES, *rest, wrong])
        expect((len(found), what in found[0]), (1, True), f"{wrong}: {found}")
    found = guarantees.problems(root, [CATCHES, *rest[1:]])
    expect(found, ["guarantee 2 has no fault"], "a guarantee without a fault")


def check_verdicts():
    gtest = "[ RUN      ] Sum.Adds\n[       OK ] Sum.Adds (0 ms)\n[ RUN      ] Sum.{0}\n{1}"
    cmocka = "[ RUN      ] adds\n[  ERROR   ] --- 2 != 3\n[  FAILED  ] adds\n[ RUN      ] subtracts\n[       OK ] subtracts\n"
    expect(guarantees.failing_cases(gtest.format("Ends", "[  FAILED  ] Sum.Ends (1 ms)")), {"Ends"}, "GoogleTest")
    expect(guarantees.failing_cases(gtest.format("Ends", "")), {"Ends"}, "one that did not come back")
    expect(guarantees.failing_cases(gtest.format("Ends", "[       OK ] Sum.Ends (1 ms)")), set(), "none")
    expect(guarantees.failing_cases(cmocka), {"adds"}, "CMocka")
    expect(guarantees.verdict_of(CATCHES, True, cmocka)[0], "caught", "the case that is named")
    expect(guarantees.verdict_of(CATCHES, False, "")[0], "SURVIVED", "a test that passes")
    expect(guarantees.verdict_of(CATCHES, True, cmocka.replace("adds", "ends"))[0], "SURVIVED", "another case")
    whole = Fault(1, "x", "src/sum.c", "a", "b", "model/sum")
    expect(guarantees.verdict_of(whole, True, "")[0], "caught", "a test without cases")


def check_copy(root, tree):
    names = guarantees.files_of(root)
    expect(names, {"src/sum.c", "src/other.c", "docs/guarantees.md"}, "the files")
    guarantees.synchronize(root, names, tree)
    before = (tree / "src/sum.c").stat().st_mtime_ns
    (tree / "src/stray.c").write_text("stray")
    (tree / "src/other.c").write_text("changed")
    guarantees.synchronize(root, names, tree)
    expect((tree / "src/stray.c").exists(), False, "a file that is not the project's")
    expect((tree / "src/other.c").read_text(), "one\n", "a file that was changed in the copy")
    expect((tree / "src/sum.c").stat().st_mtime_ns, before, "the time of a file that is the same")
    with guarantees.Changed(tree, CATCHES):
        expect((tree / "src/sum.c").read_text().count("return a + b + 1;"), 1, "the copy with the fault")
        expect((root / "src/sum.c").read_text().count("return a + b + 1;"), 0, "the project meanwhile")
    expect((tree / "src/sum.c").read_text(), (root / "src/sum.c").read_text(), "the copy afterwards")


with tempfile.TemporaryDirectory() as folder:
    project = pathlib.Path(folder) / "project"
    (project / "src").mkdir(parents=True)
    (project / "docs").mkdir()
    (project / "src/sum.c").write_text("int sum(int a, int b)\n{\n    return a + b;\n}\n")
    (project / "src/other.c").write_text("one\n")
    ROWS = "".join(f"| {number} | other | `model/other` |\n" for number in range(2, 23))
    (project / "docs/guarantees.md").write_text("| # | promise | tests |\n| 1 | sums | `capi/sum: adds`, `x` |\n" + ROWS)
    (pathlib.Path(folder) / "tree").mkdir()
    subprocess.run(["git", "-C", project, "init", "-q"], check=True)
    check_list(project)
    check_copy(project, pathlib.Path(folder) / "tree")
check_verdicts()
print("ok")
