"""tests/abi/first is as it was: the files of the first header, the symbols that the program's object asks for, the structs.

    first.py --folder tests/abi/first --object O --map M --c-compiler CC [--store]
"""

import argparse
import hashlib
import pathlib
import re
import subprocess
import sys
import tempfile

import exports

NM = ["nm", "-u", "--format=just-symbols"]


def listing(folder, object_file, compiler):
    """What is kept in object.txt, a line each."""
    headers = sorted((folder / "include" / "execq").glob("*.h"))
    lines = [f"file {path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
             for path in [*headers, folder / "program.c"]]
    names = subprocess.run([*NM, object_file], check=True, capture_output=True, text=True).stdout.split()
    lines += [f"symbol {name}" for name in sorted(names) if name.startswith("execq_")]
    text = "".join(re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S) for path in headers)
    structs = sorted(set(re.findall(r"\btypedef struct (\w+) \{", text)))
    source = "#include <stdio.h>\n" + "".join(f"#include <execq/{path.name}>\n" for path in headers if path.name != "uv.h")
    source += "int main(void)\n{\n" + "".join(
        f'    printf("struct {name} %zu\\n", sizeof({name}));\n' for name in structs) + "}\n"
    with tempfile.TemporaryDirectory() as temporary:
        program = pathlib.Path(temporary) / "sizes"
        subprocess.run([compiler, "-I", folder / "include", "-x", "c", "-o", program, "-"], input=source, check=True,
                       text=True)
        return lines + subprocess.run([program], check=True, capture_output=True, text=True).stdout.splitlines()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--folder", "--object", "--map", "--c-compiler"):
        parser.add_argument(option, required=True, type=pathlib.Path)
    parser.add_argument("--store", action="store_true", help="once: writes object.txt")
    arguments = parser.parse_args()
    lines = listing(arguments.folder, arguments.object, str(arguments.c_compiler))
    kept = arguments.folder / "object.txt"
    if arguments.store:
        kept.write_text("\n".join(lines) + "\n")
    stored = kept.read_text().splitlines()
    found = [f"is no more: {line}" for line in stored if line not in lines]
    found += [f"is not kept: {line}" for line in lines if line not in stored]
    symbols = {line.split()[1] for line in stored if line.startswith("symbol")}
    found += [f"{name} is not used" for name in exports.declared(arguments.folder / "include" / "execq") - symbols]
    found += [f"{name} is not exported any more" for name in sorted(symbols - exports.mapped(arguments.map)[1])]
    print("\n".join(found) if found else f"{len(symbols)} functions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
