"""The declarations-only header against the headers that it is made from: cffi and LuaJIT both read it, and find every
function, constant and struct in it.

    header_test.py execq_ffi.h include/execq libexecq.so libffi_helper.so luajit
"""

import pathlib
import re
import subprocess
import sys

try:
    import cffi
except ImportError:
    sys.exit("header: cffi is missing (Debian and Ubuntu: python3-cffi)")


def without_comments(text):
    return re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)


def public_headers(folder):
    """The text of every header but uv.h and dump_file.h, which are for C alone."""
    paths = sorted(path for path in pathlib.Path(folder).glob("*.h") if path.name not in ("uv.h", "dump_file.h"))
    return without_comments("\n".join(path.read_text() for path in paths))


def declared_functions(text):
    return set(re.findall(r"EXECQ_API\s[^;({]*?\b(execq_\w+)\s*\(", text))


def declared_constants(text):
    constants = {name: int(value) for name, value in re.findall(r"\b(EXECQ_\w+)\s*=\s*(-?\d+)", text)}
    constants.update((f"EXECQ_{name}", int(value)) for name, value in re.findall(r"\bX\((\w+), (-?\d+),", text))
    constants.update((name, int(value)) for name, value in re.findall(r"#define (EXECQ_VERSION_\w+) (\d+)", text))
    return constants


def declared_structs(text):
    return set(re.findall(r"\btypedef struct (execq_\w+) \{", text))


def one_line(text):
    return re.sub(r"\s+", " ", text)


def declarations(text):
    """The functions and structs of the headers, each on one line."""
    functions = re.findall(r"^EXECQ_API (.*?;)", text, flags=re.MULTILINE | re.DOTALL)
    structs = re.findall(r"^typedef struct execq_\w+ \{.*?\} execq_\w+;", text, flags=re.MULTILINE | re.DOTALL)
    return [one_line(declaration) for declaration in functions + structs]


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"header: {what}: got {got}, wanted {wanted}")


def check_with_cffi(generated, functions, constants, structs, library, helper_library):
    ffi = cffi.FFI()
    ffi.cdef(generated)
    ffi.cdef("uint64_t helper_sizeof(const char *type);")
    lib, helper = ffi.dlopen(library), ffi.dlopen(helper_library)
    names = {name for name in dir(lib) if not name.startswith("helper_")}
    check("names that cffi found", sorted(names ^ functions ^ set(constants)), [])
    for name in sorted(functions):
        check(f"kind of {name}", ffi.typeof(getattr(lib, name)).kind, "function")
    for name, value in constants.items():
        check(f"value of {name}", getattr(lib, name), value)
    for name in structs:
        check(f"sizeof {name}", ffi.sizeof(name), helper.helper_sizeof(name.encode()))
    check("execq_version() through cffi", ffi.string(lib.execq_version_string()).decode(),
          f"{lib.EXECQ_VERSION_MAJOR}.{lib.EXECQ_VERSION_MINOR}.{lib.EXECQ_VERSION_PATCH}")
    print(f"cffi {cffi.__version__} read it")


def check_with_luajit(luajit, generated_path, library, functions, constants):
    script = pathlib.Path(__file__).with_name("header_test.lua")
    expected = "".join(f"{name}\n" for name in sorted(functions))
    expected += "".join(f"{name} {value}\n" for name, value in constants.items())
    subprocess.run([luajit, script, generated_path, library], input=expected, text=True, check=True)


def main(generated_path, folder, library, helper_library, luajit):
    generated = pathlib.Path(generated_path).read_text()
    text = public_headers(folder)
    functions, constants, structs = declared_functions(text), declared_constants(text), declared_structs(text)
    check("preprocessor lines", re.findall(r"^\s*#.*", generated, flags=re.MULTILINE), [])
    wanted, flat = declarations(text), one_line(generated)
    check("number of declarations", len(wanted), len(functions) + len(structs))
    check("declarations that are missing or changed", [line for line in wanted if line not in flat], [])
    print(f"{generated_path}: {len(functions)} functions, {len(constants)} constants, {len(structs)} structs")
    check_with_cffi(generated, functions, constants, structs, library, helper_library)
    sys.stdout.flush()
    check_with_luajit(luajit, generated_path, library, functions, constants)
    print("ok")


main(*sys.argv[1:])
