"""The ABI of libexecq.so against the stored baseline: abidiff for functions and types, and what abidiff does not see.

    compat.py --library L --headers H --baseline FOLDER --c-compiler CC            compares
    compat.py … --renew [--break]                                                  compares, then stores what there is now

The baseline is libexecq.abi, written by abidw from the debug information of a library and cut down to what the exported
functions reach, and constants.txt, the values of all enumerators and macros of the headers: they are anonymous and no
function names them, so that the debug information of the library knows nothing of them.

Any answer of abidiff but 0 fails. A struct that begins with its own size may grow at its end. abidiff's suppression for
members inserted at the end hides too much by itself (members that are swapped, renamed or of another type beside the new
one), so it is given only for the structs whose old members are all found where they were; these are compared here.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree

# Types and functions of the C++ inside, and of other libraries, never get into the file: it does not change with them.
INSIDE = """
[suppress_type]
  name_regexp = ^(execq::core|std|__gnu_cxx|__cxxabiv1|uv_|_IO_)
  drop = yes
[suppress_function]
  symbol_name_not_regexp = ^execq_
  drop = yes
[suppress_variable]
  name_regexp = .*
  drop = yes
"""
APPENDED = """
[suppress_type]
  type_kind = struct
  name_regexp = ^{}$
  has_data_member_inserted_at = end
"""
# Structs that tell their size in another way than by a first member struct_size.
SIZED_ELSEWHERE = {"execq_worker_stats": "execq_stats.worker_size"}


def describe(library, headers, out):
    """Writes what abidw sees of the library, the same bytes wherever it was built."""
    with tempfile.TemporaryDirectory() as folder:
        inside = pathlib.Path(folder) / "inside"
        inside.write_text(INSIDE)
        subprocess.run(["abidw", "--suppressions", inside, "--headers-dir", headers, "--drop-private-types",
                        "--drop-undefined-syms", "--exported-interfaces-only", "--no-comp-dir-path", "--no-corpus-path",
                        "--no-show-locs", "--no-parameter-names", "--no-elf-needed", "--no-architecture",
                        "--type-id-style", "hash", "--out-file", out, library], check=True)
    text = pathlib.Path(out).read_text()
    pathlib.Path(out).write_text(re.sub(r" path='(?:[^']*/)?([^'/]*)'", r" path='\1'", text))


class Description:
    """A file of abidw."""

    def __init__(self, path):
        self.root = xml.etree.ElementTree.parse(path).getroot()
        self.by_id = {}
        for element in self.root.iter():
            if element.get("id"):
                known = self.by_id.get(element.get("id"))
                if known is None or known.get("is-declaration-only"):
                    self.by_id[element.get("id")] = element

    def functions(self):
        """The exported functions that have debug information."""
        return {element.get("name") for element in self.root.iter("function-decl") if element.get("elf-symbol-id")}

    def symbols(self):
        """The exported functions."""
        return {element.get("name") for element in self.root.iter("elf-symbol")}

    def structs(self):
        """name: (bytes, [(member, offset in bits, type)]) of each struct that is defined."""
        found = {}
        for struct in self.root.iter("class-decl"):
            if struct.get("is-declaration-only") or not struct.get("name"):
                continue
            members = []
            for member in struct.findall("data-member"):
                variable = member.find("var-decl")
                members.append((variable.get("name"), int(member.get("layout-offset-in-bits")),
                                self.spelled(variable.get("type-id"))))
            found[struct.get("name")] = (int(struct.get("size-in-bits")) // 8, members)
        return found

    def spelled(self, type_id):
        """A type in words, down to scalars and the names of structs."""
        element = self.by_id[type_id]
        if element.tag in ("typedef-decl", "qualified-type-def", "pointer-type-def", "array-type-def"):
            inner = self.spelled(element.get("type-id"))
            if element.tag == "qualified-type-def":
                return inner + "".join(f" {word}" for word in ("const", "volatile") if element.get(word) == "yes")
            if element.tag == "array-type-def":
                return inner + "".join(f"[{part.get('length')}]" for part in element.findall("subrange"))
            return inner + ("*" if element.tag == "pointer-type-def" else "")
        if element.tag == "function-type":
            parts = [self.spelled(part.get("type-id")) for part in element if part.tag in ("return", "parameter")]
            return f"({', '.join(parts)})"  # abidw writes the parameters first
        return element.get("name")


def appended(before, now):
    """(problems, names of structs that have grown at their end as they may)."""
    found, grown = [], []
    for name, (size, members) in before.structs().items():
        if name not in now.structs():
            found.append(f"struct {name} is gone")
            continue
        size_now, members_now = now.structs()[name]
        sized = name in SIZED_ELSEWHERE or (members and members[0][:2] == ("struct_size", 0))
        for index, member in enumerate(members):
            there = members_now[index] if index < len(members_now) else None
            if member != there:
                found.append(f"struct {name}: {member} is now {there}")
        if (size, len(members)) == (size_now, len(members_now)):
            continue
        if not sized:
            found.append(f"struct {name}: {size} bytes are now {size_now}, and it does not begin with its size")
        elif any(offset < 8 * size for _, offset, _ in members_now[len(members):]):
            found.append(f"struct {name}: a new member lies inside the {size} bytes that it had, perhaps not zero there")
        elif members == members_now[:len(members)]:
            grown.append(name)
    return found, grown


def compare(before, now):
    """(problems, notes) about two files of abidw."""
    old, new = Description(before), Description(now)
    found = [f"{name} has no debug information (preset dev has it)" for name in sorted(new.symbols() - new.functions())]
    if not new.symbols():
        found.append("no function is exported")
    wrong, grown = appended(old, new)
    found += wrong
    with tempfile.TemporaryDirectory() as folder:
        suppressions = pathlib.Path(folder) / "appended"
        suppressions.write_text("".join(APPENDED.format(name) for name in grown))
        given = ["--suppressions", suppressions] if grown else []
        answer = subprocess.run(["abidiff", "--no-added-syms", *given, before, now], check=False, capture_output=True,
                                text=True)
    if answer.returncode != 0:
        found.append(f"abidiff answers {answer.returncode}:\n{answer.stdout}{answer.stderr}")
    notes = [f"{name} has grown at its end" for name in grown]
    notes += [f"{name} is new" for name in sorted(new.symbols() - old.symbols())]
    return found, notes


def constants(headers, compiler):
    """name: value of every enumerator and macro of the headers. The version and names that end in _ are no constants."""
    names = sorted(path.name for path in pathlib.Path(headers).glob("*.h") if path.name != "uv.h")
    source = "".join(f"#include <{pathlib.Path(headers).name}/{name}>\n" for name in names)
    cc = [compiler, "-I", str(pathlib.Path(headers).parent), "-x", "c"]
    text = subprocess.run([*cc, "-E", "-P", "-"], input=source, check=True, capture_output=True, text=True).stdout
    macros = subprocess.run([*cc, "-E", "-dM", "-"], input=source, check=True, capture_output=True, text=True).stdout
    found = {name for block in re.findall(r"\benum\b[^{};]*\{([^}]*)\}", text)
             for name in re.findall(r"(?:^|,)\s*(EXECQ_\w*[^\W_])\s*(?=[,=]|$)", block)}
    for name, value in re.findall(r"^#define (EXECQ_\w+) (\S.*)$", macros, flags=re.M):
        if not re.match(r"EXECQ_VERSION|EXECQ_API$|\w*_$", name) and not value.startswith("{"):
            found.add(name)
    lines = "".join(f'    printf("{name} %lld\\n", (long long)(intptr_t)({name}));\n' for name in sorted(found))
    with tempfile.TemporaryDirectory() as folder:
        program = pathlib.Path(folder) / "constants"
        subprocess.run([*cc, "-o", program, "-"], check=True, text=True,
                       input=f"#include <stdio.h>\n{source}int main(void)\n{{\n{lines}}}\n")
        text = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return dict(line.split() for line in text.splitlines())


def compare_constants(before, now):
    """(problems, notes) about two tables of constants."""
    found = [f"{name} is {value} in the baseline and {now.get(name, 'gone')} now" for name, value in before.items()
             if now.get(name) != value]
    return found, [f"{name} is new" for name in now if name not in before]


def check(library, headers, compiler, baseline, description):
    """(problems, notes, constants) about a library and its baseline; the description of the library is written."""
    describe(library, headers, description)
    found, notes = compare(baseline / "libexecq.abi", description)
    values = constants(headers, compiler)
    stored = dict(line.split() for line in (baseline / "constants.txt").read_text().splitlines())
    wrong, new = compare_constants(stored, values)
    return found + wrong, notes + new, values


def store(description, values, baseline):
    """What there is becomes the baseline."""
    (baseline / "libexecq.abi").write_bytes(pathlib.Path(description).read_bytes())
    (baseline / "constants.txt").write_text("".join(f"{name} {value}\n" for name, value in sorted(values.items())))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--library", "--headers", "--baseline", "--c-compiler"):
        parser.add_argument(option, required=True, type=pathlib.Path)
    parser.add_argument("--renew", action="store_true")
    parser.add_argument("--break", action="store_true", dest="breaks", help="store it even if it is not compatible")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        description = pathlib.Path(folder) / "now.abi"
        found, notes, values = check(arguments.library, arguments.headers, str(arguments.c_compiler), arguments.baseline,
                                     description)
        print("\n".join(found + notes + [f"{len(Description(description).functions())} functions, {len(values)} constants"]))
        if arguments.renew and (arguments.breaks or not found):
            store(description, values, arguments.baseline)
            print(f"stored in {arguments.baseline}")
            return 0
    if found:
        print(f"not compatible with {arguments.baseline}; docs/abi.md says what may change")
    elif notes:
        print("compatible; ./run abi --renew takes what is new into the baseline")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
