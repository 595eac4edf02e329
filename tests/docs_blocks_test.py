"""docs_blocks.py on sample documents: right blocks pass, each wrong one is found at its line."""

import pathlib
import sys
import tempfile

import docs_blocks

RIGHT = """
```c
#include <execq/execq.h>
int main(void) { return execq_version_string() == 0; }
```

1. indented:

   ```cpp
   #include <execq/execq.h>
   int main() { return execq_version() == 0 ? 1 : 0; }
   ```

<!-- given:
static int32_t shrink(void *env, void **result);
-->
```c
execq_future *future;
if (execq_submit(NULL, shrink, NULL, &future) != EXECQ_OK)
    puts("no");
```

```c
static int unused_here(execq_loop *loop) { return execq_loop_detach(loop); }
```

```sh
exit 1
```

```
int not c at all
```
"""

# A document each, and the line on which its block begins.
WRONG = [
    ("```c\nint main(void) { return execq_version(); }\n```\n", 2),
    ("text\n\n```c\nint not_declared_elsewhere(void);\nint main(void) { return not_declared_elsewhere(); }\n```\n", 4),
    ("```cpp\n#include <execq/execq.h>\nint main() { int unused; }\n```\n", 2),
    ("```c\nexecq_submit(NULL, no_such_function, NULL, NULL);\n```\n", 2),
    ("```c\nint count = \"text\";\n```\n", 2),
    ("```c\nint a;\n```\n\n```c\nint b = ;\n```\n", 6),
    ("1. x\n   ```c\n   int b = ;\n   ```\n", 3),
]


def check(compiler, folder, text):
    path = pathlib.Path(folder) / "README.md"
    path.write_text(text, encoding="utf-8")
    return docs_blocks.check(docs_blocks.documents(folder), compiler)


COMPILER = docs_blocks.Compiler(*sys.argv[1:5])
with tempfile.TemporaryDirectory() as temporary:
    result = check(COMPILER, temporary, RIGHT)
    if result != ([], 2, 2):
        sys.exit(f"the right document: {result}")
    for document, line in WRONG:
        found = check(COMPILER, temporary, document)[0]
        if len(found) != 1 or f"README.md:{line}: " not in found[0]:
            sys.exit(f"{document}\nfound: {found}, wanted one finding at line {line}")
print("ok")
