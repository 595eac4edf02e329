"""exports.py on small libraries: a right one passes, each wrong one is named."""

import pathlib
import subprocess
import sys
import tempfile

import exports

COMPILER = sys.argv[1]
HEADER = """
#define EXECQ_API __attribute__((visibility("default")))
/* EXECQ_API void commented(void); */
#define MACRO(x) \\
    EXECQ_API void in_macro(x)
EXECQ_API int one(int (*callback)(void), int b);
EXECQ_API const char *
two(void);
"""
SOURCE = "int one(int (*c)(void), int b) { return c() + b; } const char *two(void) { return 0; } int three(void) { return 3; }"
MAP = "/* comment; */ NODE_0 {\nglobal:\n    one;\n    two;\nlocal:\n    *;\n};\n"


def check(folder, map_checked=MAP, map_linked=MAP, source=SOURCE):
    """What exports.py says of a library linked with one map and checked against another."""
    folder = pathlib.Path(folder)
    (folder / "include").mkdir(exist_ok=True)
    (folder / "include" / "a.h").write_text(HEADER)
    (folder / "checked.map").write_text(map_checked)
    (folder / "linked.map").write_text(map_linked)
    (folder / "a.c").write_text(source)
    library = folder / "liba.so"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, folder / "a.c",
                    f"-Wl,--version-script={folder}/linked.map"], check=True)
    return exports.problems(folder / "include", folder / "checked.map", library)[0]


def expect(what, found, *wanted):
    """Each found sentence starts with the name that is wanted, and there are no others."""
    if [sentence.split()[0] for sentence in found] != list(wanted):
        sys.exit(f"{what}: {found}, wanted {list(wanted)}")


def refuses(folder, text):
    """Whether the map is refused as a whole."""
    path = pathlib.Path(folder) / "refused.map"
    path.write_text(text)
    try:
        exports.mapped(path)
    except ValueError:
        return True
    return False


with tempfile.TemporaryDirectory() as temporary:
    more = MAP.replace("two;", "two; three;")
    fewer = MAP.replace("two;", "")
    expect("the right library", check(temporary))
    expect("an export that no header declares", check(temporary, more, more), "three")
    expect("a map that lost a function", check(temporary, fewer, fewer), "two")
    expect("a library that exports too much", check(temporary, MAP, more), "three")
    expect("a library that exports too little", check(temporary, MAP, fewer), "two")
    expect("another version node", check(temporary, MAP, MAP.replace("NODE_0", "NODE_1")),
           "NODE_1", "one", "one@@NODE_1", "two", "two@@NODE_1")
    expect("a variable", check(temporary, source=SOURCE.replace("int three(void) { return 3; }", "").replace(
        "const char *two(void) { return 0; }", "int two;")), "two", "two@@NODE_0")
    for bad in (MAP.replace("two;", "t*;"), MAP.replace("two;", "one;"), MAP.replace("local:\n    *;", "")):
        if not refuses(temporary, bad):
            sys.exit(f"this map is taken:\n{bad}")
print("ok")
