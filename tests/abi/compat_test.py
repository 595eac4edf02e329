"""compat.py on small libraries: growth that the policy (docs/abi.md) allows passes, anything else fails."""

import pathlib
import subprocess
import sys
import tempfile

import compat

COMPILER = sys.argv[1]
HEADER = """
#include <stdint.h>
enum { EXECQ_RED = 1, EXECQ_GREEN, EXECQ_LAST_ = 9 };
#define EXECQ_WIDTH 40
#define EXECQ_OPTIONS_INIT {0, 0, 0, 0}
typedef enum execq_mode { EXECQ_FAST = 1 } execq_mode;
typedef struct execq_thing execq_thing;
typedef int32_t (*execq_call_fn)(void *env);
typedef struct execq_options { uint32_t struct_size; uint32_t flags; const char *name; uint64_t count; } execq_options;
typedef struct execq_padded { uint32_t struct_size; uint32_t flags; void *env; uint32_t width; } execq_padded;
typedef struct execq_point { int64_t x; int64_t y; } execq_point;
int32_t execq_thing_new(const execq_options *options, execq_mode mode, execq_thing **out);
int32_t execq_thing_pad(execq_thing *thing, const execq_padded *padded);
int64_t execq_point_sum(const execq_point *point);
void execq_thing_call(execq_thing *thing, execq_call_fn call, void *env);
"""
SOURCE = """
#include <execq/a.h>
struct execq_thing { int inside; };
struct execq_thing only;
int32_t execq_thing_new(const execq_options *o, execq_mode m, execq_thing **out) { *out = &only; return o->flags == m; }
int32_t execq_thing_pad(execq_thing *t, const execq_padded *p) { t->inside = (int)p->width; return 0; }
int64_t execq_point_sum(const execq_point *p) { return p->x; }
void execq_thing_call(execq_thing *t, execq_call_fn call, void *env) { t->inside = (int)call(env); }
"""
NODE = "NODE_0 { global: execq_*; local: *; };"
REST = "const char *name; uint64_t count; } execq_options"  # what comes after struct_size and flags


def rest(members):
    """The options with other members."""
    return [(REST, members + " } execq_options")]


# What changes, how, and what the first problem begins with.
WRONG = [
    ("a function has another name", [("execq_point_sum", "execq_point_total")], "abidiff answers 12"),
    ("a function is removed", [("int64_t execq_point_sum(const execq_point *point);", ""),
                               ("int64_t execq_point_sum(const execq_point *p) { return p->x; }", "")], "abidiff answers 12"),
    ("another type is returned", [("int64_t execq_point_sum", "int32_t execq_point_sum"),
                                  ("return p->x", "return (int32_t)p->x")], "abidiff answers 4"),
    ("a parameter has another type", [("execq_call_fn call, void *env)", "execq_call_fn call, int *env)")],
     "abidiff answers 4"),
    ("a callback takes more", [("(*execq_call_fn)(void *env)", "(*execq_call_fn)(void *env, int more)"),
                               ("call(env)", "call(env, 1)")], "abidiff answers 4"),
    ("a field is deleted", rest("const char *name;"), "struct execq_options: ('count'"),
    ("a field is deleted and one appended", rest("uint64_t count; const char *more;"), "struct execq_options: ('name'"),
    ("two fields are swapped", rest("uint64_t count; const char *name;"), "struct execq_options: ('name'"),
    ("two fields are swapped and one is appended", rest("uint64_t count; const char *name; int64_t more;"),
     "struct execq_options: ('name'"),
    ("a field is inserted", rest("uint64_t more; const char *name; uint64_t count;"), "struct execq_options: ('name'"),
    ("a field has another name, and one is appended", rest("const char *title; uint64_t count; int64_t more;"),
     "struct execq_options: ('name'"),
    ("a field has another type, and one is appended", rest("const char *name; double count; int64_t more;"),
     "struct execq_options: ('count'"),
    ("a field fills what was padding", [("uint32_t width; }", "uint32_t width; uint32_t more; }")],
     "struct execq_padded: a new member"),
    ("a struct of a fixed size grows", [("int64_t y; }", "int64_t y; int64_t z; }")], "struct execq_point: 16 bytes"),
    ("an enumerator has another value", [("EXECQ_GREEN,", "EXECQ_GREEN = 3,")], "EXECQ_GREEN is 2"),
    ("an enumerator of a named enum has another value", [("EXECQ_FAST = 1", "EXECQ_FAST = 2")], "abidiff answers 4"),
    ("an enumerator is inserted", [("EXECQ_GREEN,", "EXECQ_BLUE, EXECQ_GREEN,")], "EXECQ_GREEN is 2"),
    ("an enumerator is removed", [("EXECQ_GREEN,", "")], "EXECQ_GREEN is 2"),
    ("a macro has another value", [("EXECQ_WIDTH 40", "EXECQ_WIDTH 41")], "EXECQ_WIDTH is 40"),
    ("the version node has another name", [("NODE_0", "NODE_1")], "abidiff answers 12"),
    ("the library has another soname", [("libsample.so.0", "libsample.so.1")], "abidiff answers"),
    ("there is no debug information", [("-g", "-g0")], "execq_point_sum has no debug information"),
]
# What changes, how, and the notes.
RIGHT = [
    ("nothing", [], []),
    ("a field is appended to a struct that begins with its size", rest("const char *name; uint64_t count; int64_t more;"),
     ["execq_options has grown at its end"]),
    ("an enumerator is appended", [("EXECQ_GREEN,", "EXECQ_GREEN, EXECQ_BLUE,")], ["EXECQ_BLUE is new"]),
    ("the mark behind the last enumerator moves", [("EXECQ_LAST_ = 9", "EXECQ_LAST_ = 10")], []),
    ("a function is new", [("void execq_thing_call", "void execq_new(void);\nvoid execq_thing_call"),
                           ("struct execq_thing only;", "struct execq_thing only; void execq_new(void) {}")],
     ["execq_new is new"]),
    ("what is inside changes", [("{ int inside; }", "{ int more; int inside; }")], []),
    ("a parameter has another name", [("*thing, execq_call_fn call", "*it, execq_call_fn how")], []),
]


def build(folder, changes):
    """A library of the sample with these changes, each of which changes something: (library, headers)."""
    parts = [HEADER, SOURCE, NODE, "-g", "libsample.so.0"]
    for old, new in changes:
        changed = [part.replace(old, new) for part in parts]
        if changed == parts:
            sys.exit(f"'{old}' is not in the sample")
        parts = changed
    header, source, node, debug, soname = parts
    headers = folder / "include" / "execq"
    headers.mkdir(parents=True)
    (headers / "a.h").write_text(header)
    (folder / "a.c").write_text(source)
    (folder / "a.map").write_text(node)
    subprocess.run([COMPILER, debug, "-O1", "-shared", "-fPIC", "-I", folder / "include", f"-Wl,-soname,{soname}",
                    f"-Wl,--version-script={folder}/a.map", "-o", folder / "lib.so", folder / "a.c"], check=True)
    return folder / "lib.so", headers


def check(root, number, changes, baseline):
    """What compat.py says of a changed sample."""
    folder = root / str(number)
    library, headers = build(folder, changes)
    return compat.check(library, headers, COMPILER, baseline, folder / "now.abi")[:2]


def renew(root, sample, baseline, *options):
    """Whether ./run abi --renew with these options stores that sample."""
    stored = (baseline / "libexecq.abi").read_bytes()
    program = pathlib.Path(compat.__file__)
    answer = subprocess.run([sys.executable, "-B", program, "--library", root / sample / "lib.so", "--headers",
                             root / sample / "include" / "execq", "--baseline", baseline, "--c-compiler", COMPILER,
                             "--renew", *options], check=False, capture_output=True, text=True)
    changed = (baseline / "libexecq.abi").read_bytes() != stored
    if changed != (answer.returncode == 0):
        sys.exit(f"--renew of {sample} answers {answer.returncode}:\n{answer.stdout}{answer.stderr}")
    return changed


def main():
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        baseline = root / "baseline"
        baseline.mkdir()
        library, headers = build(root / "base", [])
        compat.describe(library, headers, root / "base.abi")
        compat.store(root / "base.abi", compat.constants(headers, COMPILER), baseline)
        for number, (what, changes, wanted) in enumerate(WRONG):
            found, _ = check(root, f"wrong{number}", changes, baseline)
            if not any(problem.startswith(wanted) for problem in found):
                sys.exit(f"{what}: {found}, wanted '{wanted}'")
        for number, (what, changes, wanted) in enumerate(RIGHT):
            found, notes = check(root, f"right{number}", changes, baseline)
            if found or notes != wanted:
                sys.exit(f"{what}: {found} {notes}, wanted {wanted}")
        again = root / "again.abi"
        compat.describe(root / "right0" / "lib.so", root / "right0" / "include" / "execq", again)
        if again.read_bytes() != (baseline / "libexecq.abi").read_bytes():
            sys.exit("the same library in another folder has another description")
        renewals = [renew(root, "wrong0", baseline), renew(root, "right1", baseline), renew(root, "right0", baseline),
                    renew(root, "wrong0", baseline, "--break")]
        if renewals != [False, True, False, True]:
            sys.exit(f"--renew stored {renewals}")
    print(f"{len(WRONG)} changes fail and {len(RIGHT)} pass")


main()
