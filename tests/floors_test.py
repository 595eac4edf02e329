"""floors.py on sample trees: a clean one passes, and each kind of wrong include is found where it stands."""

import pathlib
import sys
import tempfile

import floors

CLEAN = {
    "include/execq/types.h": "#include <stddef.h>\n#include <stdint.h>\n",
    "include/execq/dump_file.h": "#include <execq/types.h>\n#include <stdio.h>\n",
    "include/execq/uv.h": "#include <execq/types.h>\n#include <uv.h>\n",
    "include/execq/execq.hpp": "#include <utility>\n",
    "src/base/list.h": "#include <atomic>\n#include <execq/types.h>\n",
    "src/task/node.h": '#include "base/list.h"\n',
    "src/task/node.cc": '#include "node.h"\n#include "../base/list.h"\n',
    "src/sched/pool.cc": '#include "task/node.h"\n#include <uv.h>\n',
    "src/flow/port.cc": '#include "sched/../task/node.h"\n#include <execq/uv.h>\n// #include "capi/guard.h"\n',
    "capi/guard.h": '#include "base/list.h"\n',
    "capi/future.cc": '/*\n#include "nowhere/x.h"\n*/\n#include "guard.h"\n#include "capi/guard.h"\n',
    "tests/support/gate.h": "",
}

# One file each that is added to the clean tree, and the line that is wrong in it.
WRONG = [
    ("src/base/bad.h", '#include "base/list.h"\n#include "task/node.h"\n', 2),
    ("src/base/bad.cc", "#  include <task/node.h>\n", 1),
    ("src/task/bad.cc", '#include "../../capi/guard.h"\n', 1),
    ("src/sched/bad.cc", '/* two\nlines */ \n#include "capi/guard.h"\n', 3),
    ("src/task/bad.h", '#include "flow/port.cc"\n', 1),
    ("src/flow/bad.h", '#include "base/no_such_file.h"\n', 1),
    ("src/flow/bad.hpp", "#include <uv.h>\n", 1),
    ("capi/bad.h", "#include <execq/uv.h>\n", 1),
    ("capi/bad.cc", '#include "../tests/support/gate.h"\n', 1),
    ("include/execq/bad.h", "#include <uv.h>\n", 1),
    ("include/execq/bad2.h", "#include <execq/types.h>\n#include <execq/uv.h>\n", 2),
    ("include/execq/bad3.h", "#include <stdbool.h>\n", 1),
    ("include/execq/bad5.h", "#include <stdio.h>\n", 1),
    ("include/execq/bad6.h", "#include <execq/dump_file.h>\n", 1),
    ("include/execq/bad4.h", '#include "base/list.h"\n', 1),
    ("src/extra/bad.cc", "", None),
]


def write(root, files):
    for name, text in files.items():
        path = pathlib.Path(root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


with tempfile.TemporaryDirectory() as root:
    write(root, CLEAN)
    found, count = floors.problems(root)
    if found or count != len(CLEAN) - 1:
        sys.exit(f"the clean tree: {count} files, {found}")

for name, text, line in WRONG:
    with tempfile.TemporaryDirectory() as root:
        write(root, CLEAN | {name: text})
        found, _ = floors.problems(root)
        where = f"{name}:{line}: " if line else f"{name}: "
        if len(found) != 1 or not found[0].startswith(where):
            sys.exit(f"{name} with {text!r}: {found}, wanted one finding at {where}")
print("ok")
