"""The dynamic section of libexecq.so: its name, what it needs, and that it can be loaded late and never unloaded."""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

LOADER = """
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>
static int gate[2];
static int32_t body(void *env, void **result) /* runs while the library is closed */
{
    char byte;
    *result = env;
    return read(gate[0], &byte, 1) == 1 ? 0 : 1;
}
int main(int argc, char **argv)
{
    void *library = argc > 1 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (!library || pipe(gate) != 0) {
        fprintf(stderr, "dlopen: %s\\n", dlerror());
        return 1;
    }
    const char *(*version)(void) = (const char *(*)(void))dlsym(library, "execq_version_string");
    int32_t (*submit)(void *, int32_t (*)(void *, void **), void *, void **) =
        (int32_t(*)(void *, int32_t (*)(void *, void **), void *, void **))dlsym(library, "execq_submit");
    int32_t (*wait)(void *, int64_t) = (int32_t(*)(void *, int64_t))dlsym(library, "execq_future_wait");
    int32_t (*result)(void *, void **) = (int32_t(*)(void *, void **))dlsym(library, "execq_future_result");
    void *future = NULL, *value = NULL;
    if (!version || !submit || !wait || !result || submit(NULL, body, gate, &future) != 0 || dlclose(library) != 0) {
        return 2;
    }
    puts(version()); /* the library is still there, and so is the code that its thread is in */
    if (write(gate[1], "x", 1) != 1 || wait(future, -1) != 0 || result(future, &value) != 0 || value != gate) {
        return 4;
    }
    return dlopen(argv[1], RTLD_NOW | RTLD_NOLOAD) ? 0 : 3;
}
"""


def problems(library, soname):
    """What readelf shows that should not be so, a sentence each."""
    text = subprocess.run(["readelf", "-dW", library], check=True, capture_output=True, text=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", text)
    found = []
    if f"Library soname: [{soname}]" not in text:
        found.append(f"the soname is not {soname}")
    if not re.search(r"\(FLAGS_1\).*NODELETE", text):
        found.append("NODELETE is not set: dlclose would unmap running threads' code")
    if re.search(r"\(FLAGS\).*STATIC_TLS", text):
        found.append("STATIC_TLS is set: a late dlopen may fail")
    if "(TEXTREL)" in text:
        found.append("it has text relocations")
    for wanted in ("libuv.so.1", "libstdc++.so.6"):
        if wanted not in needed:
            found.append(f"{wanted} is not linked dynamically")
    allowed = re.compile(r"(libuv|libstdc\+\+|libgcc_s|libc|libm|libpthread|ld-linux[-\w]*)\.so\.\d+")
    found += [f"it needs {name}" for name in needed if not allowed.fullmatch(name)]
    return found


def load_and_close(compiler, library):
    """Runs a program that loads the library, closes it while a task runs, and calls into it once more."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "loader.c"
        source.write_text(LOADER)
        program = source.with_suffix("")
        subprocess.run([compiler, "-o", program, source, "-ldl"], check=True)
        return subprocess.run([program, library], check=False).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--library", "--soname", "--c-compiler"):
        parser.add_argument(option, required=True)
    arguments = parser.parse_args()
    found = problems(arguments.library, arguments.soname)
    code = load_and_close(arguments.c_compiler, arguments.library)
    if code != 0:
        found.append(f"loading, closing and calling it ended with {code}")
    print("\n".join(found) if found else "ok")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
