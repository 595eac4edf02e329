"""The functions of the headers, the names in the export map and the symbols of libexecq.so are the same set."""

import argparse
import pathlib
import re
import subprocess
import sys


def declared(headers):
    """Every function that a header declares with EXECQ_API."""
    names = set()
    for header in sorted(pathlib.Path(headers).glob("*.h")):
        text = re.sub(r"/\*.*?\*/|//[^\n]*", "", header.read_text(encoding="utf-8"), flags=re.S)
        text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", "", text, flags=re.M)
        names.update(re.findall(r"\bEXECQ_API\b[^;(){}]*?\b(\w+)\s*\(", text))
    return names


def mapped(map_file):
    """The version node of the map, and the names under its global: part."""
    text = re.sub(r"/\*.*?\*/", "", pathlib.Path(map_file).read_text(encoding="utf-8"), flags=re.S)
    match = re.fullmatch(r"\s*(\w+)\s*\{\s*global:(.*?)local:\s*\*;\s*\};\s*", text, flags=re.S)
    if not match:
        raise ValueError(f"{map_file}: one node with a global: list and local: *; is expected")
    names = [name.strip() for name in match.group(2).split(";") if name.strip()]
    for name in names:
        if not re.fullmatch(r"\w+", name):
            raise ValueError(f"{map_file}: '{name}' is a pattern; every function is listed by name")
    if len(names) != len(set(names)):
        raise ValueError(f"{map_file}: a name stands twice")
    return match.group(1), set(names)


def exported(library, node):
    """The defined dynamic symbols; each has to carry the version node."""
    command = ["nm", "-D", "--defined-only", "--with-symbol-versions", str(library)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    names = set()
    for line in lines:
        kind, symbol = line.split()[-2:]
        if kind == "A" and symbol.split("@")[0] == node:
            continue  # the version node itself
        name, _, version = symbol.partition("@@")
        names.add(name if kind == "T" and version == node else f"{symbol} (type {kind})")
    return names


def problems(headers, map_file, library):
    """What differs, a sentence each."""
    in_headers = declared(headers)
    node, in_map = mapped(map_file)
    in_library = exported(library, node)
    found = [] if in_headers else ["no function was found in the headers"]
    sets = {"the headers": in_headers, "the map": in_map, "the library": in_library}
    for name in sorted(in_headers | in_map | in_library):
        missing = [where for where, names in sets.items() if name not in names]
        if missing:
            found.append(f"{name} is missing in {' and in '.join(missing)}")
    return found, len(in_headers)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for option in ("--library", "--map", "--headers"):
        parser.add_argument(option, required=True)
    arguments = parser.parse_args()
    found, count = problems(arguments.headers, arguments.map, arguments.library)
    print("\n".join(found) if found else f"{count} functions, the same in the headers, the map and the library")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
