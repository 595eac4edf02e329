"""The dependency direction of the house: base < task < sched < flow < capi. Run as floors.py <project root>.

A file in src/ or capi/ includes its own floor and lower ones, the public headers and the system; nothing of tests/,
examples/ or bench/. <uv.h>, and execq/uv.h which brings it, are for .cc files only. A public header includes public
headers, <stddef.h> and <stdint.h>; only execq/uv.h includes <uv.h>, and execq/dump_file.h <stdio.h>.
"""

import pathlib
import re
import sys

FLOORS = ["base", "task", "sched", "flow", "capi"]
SOURCES = {".h", ".hpp", ".cc", ".c"}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:<([^>]+)>|"([^"]+)")', re.M)


def floor_of(root, path):
    """The floor that a file of the project is on; None for a file that is on no floor."""
    parts = path.relative_to(root).parts
    if parts[0] == "capi":
        return "capi"
    return parts[1] if len(parts) > 2 and parts[0] == "src" and parts[1] in FLOORS else None


def includes(path):
    """(line number, name) of each include; comments do not count."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"/\*.*?\*/", lambda match: "\n" * match.group().count("\n"), text, flags=re.S)
    for match in INCLUDE.finditer(text):
        line = text.count("\n", 0, match.start(1 if match.group(1) else 2)) + 1
        yield line, match.group(1) or match.group(2)


def resolve(root, path, name):
    """The file of the project that a name stands for, searched as the build does; None for any other."""
    for folder in (path.parent, root / "src", root / "include", root):
        candidate = (folder / name).resolve()
        if candidate.is_file() and root in candidate.parents:
            return candidate
    return None


def judge_floor(root, path, name):
    """What is wrong with an include of a file on a floor; None if nothing is."""
    floor = floor_of(root, path)
    if name in ("uv.h", "execq/uv.h"):
        return "belongs in a .cc file" if path.suffix != ".cc" else None
    target = resolve(root, path, name)
    if target is None:
        first = name.split("/")[0]
        return "does not exist" if first in FLOORS and "/" in name else None
    if target.is_relative_to(root / "include" / "execq"):
        return None
    other = floor_of(root, target)
    if other is None:
        return "is outside src/ and capi/"
    if FLOORS.index(other) > FLOORS.index(floor):
        return f"is on a higher floor ({floor} includes {other})"
    return None


def judge_public(path, name):
    """What is wrong with an include of a public header; None if nothing is."""
    if name == "uv.h":
        return None if path.name == "uv.h" else "is for execq/uv.h only"
    if name == "execq/uv.h":
        return "would bring <uv.h> to everyone"
    if name == "stdio.h":
        return None if path.name == "dump_file.h" else "is for execq/dump_file.h only"
    if name == "execq/dump_file.h":
        return "would bring <stdio.h> to everyone"
    if name in ("stddef.h", "stdint.h") or name.startswith("execq/"):
        return None
    return "is not for public C headers"


def problems(root):
    """A line for each include that is wrong, and the number of files looked at."""
    root = pathlib.Path(root).resolve()
    found, count = [], 0
    folders = [root / "src", root / "capi", root / "include" / "execq"]
    for path in sorted(path for folder in folders for path in folder.rglob("*") if path.suffix in SOURCES):
        count += 1
        where = path.relative_to(root)
        public = where.parts[0] == "include"
        if not public and floor_of(root, path) is None:
            found.append(f"{where}: is on no floor; the floors are {', '.join(FLOORS)}")
            continue
        if public and path.suffix == ".hpp":
            continue  # C++ over the C ABI: the standard library is its to use
        for line, name in includes(path):
            wrong = judge_public(path, name) if public else judge_floor(root, path, name)
            if wrong:
                found.append(f"{where}:{line}: {name} {wrong}")
    return found, count


def main():
    found, count = problems(sys.argv[1])
    if count == 0:
        found.append(f"no files in {sys.argv[1]}")
    print("\n".join(found) if found else f"{count} files keep the floors")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
