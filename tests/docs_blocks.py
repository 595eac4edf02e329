"""Compiles every ```c and ```cpp block of README.md, CONTRIBUTING.md and docs/**/*.md.

A block with a main() is a program: it is compiled as it stands and linked. Any other block is a fragment: it is
compiled after <execq/execq.h>, <execq/uv.h> and the common C headers, as declarations or else as the body of a
function. What a fragment needs and the reader need not see goes into an HTML comment right before it:

    <!-- given:
    static int32_t shrink(void *env, void **result);
    -->

Shell blocks are not run.
"""

import argparse
import pathlib
import re
import subprocess
import sys
import tempfile

BLOCK = re.compile(r"(?:<!-- given:\n(?P<given>.*?)-->\s*\n)?^(?P<indent>[ ]*)```[ ]*(?P<language>[\w+-]*)[^\n]*\n"
                   r"(?P<text>.*?)^[ ]*```[ ]*$", re.S | re.M)
LANGUAGES = {"c": "c", "C": "c", "cpp": "c++", "c++": "c++", "cc": "c++"}
STANDARD = {"c": "-std=c11", "c++": "-std=c++20"}
PRELUDE = "#include <{}>\n"
PRELUDE_HEADERS = ["execq/execq.h", "execq/uv.h", "stdio.h", "stdlib.h", "string.h"]


class Compiler:
    """One way to call the compilers, with the warnings that an example should not give."""

    def __init__(self, c_compiler, cpp_compiler, library, include):
        flags = subprocess.run(["pkg-config", "--cflags", "libuv"], check=True, capture_output=True, text=True).stdout
        self.programs = {"c": c_compiler, "c++": cpp_compiler}
        self.flags = ["-Wall", "-Wextra", "-Werror", "-D_GNU_SOURCE", "-I", str(include), *flags.split()]
        self.link = [str(library), f"-Wl,-rpath,{pathlib.Path(library).parent}", "-luv", "-lz", "-pthread"]

    def run(self, language, text, arguments):
        """The compiler's messages; empty if it is content."""
        command = [self.programs[language], "-x", language, STANDARD[language], *self.flags, "-", "-x", "none", *arguments]
        result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
        return "" if result.returncode == 0 else result.stderr or f"exit code {result.returncode}"

    def program(self, language, text):
        with tempfile.TemporaryDirectory() as folder:
            return self.run(language, text, ["-o", f"{folder}/program", *self.link])

    def fragment(self, language, given, text, line):
        # A fragment shows a piece: what it does not use or define is no mistake, wrong types and names are.
        arguments = ["-fsyntax-only", "-Wno-unused", "-Wno-error"]
        if language == "c":
            arguments += ["-Werror=implicit", "-Werror=int-conversion", "-Werror=incompatible-pointer-types",
                          "-Werror=discarded-qualifiers"]
        head = "".join(PRELUDE.format(header) for header in PRELUDE_HEADERS) + given
        declarations = self.run(language, f"{head}\n#line {line}\n{text}", arguments)
        if not declarations:
            return ""
        body = f"{head}\nvoid fragment(void);\nvoid fragment(void)\n{{\n#line {line}\n{text}\n}}\n"
        statements = self.run(language, body, arguments)
        return "" if not statements else f"as declarations:\n{declarations}\nas statements:\n{statements}"


def blocks(path):
    """(line, language, given, text) of each code block."""
    content = path.read_text(encoding="utf-8")
    for match in BLOCK.finditer(content):
        indent = match.group("indent")
        text = re.sub(rf"^{indent}", "", match.group("text"), flags=re.M) if indent else match.group("text")
        yield content.count("\n", 0, match.start("text")) + 1, match.group("language"), match.group("given") or "", text


def documents(root):
    root = pathlib.Path(root)
    return [path for path in [root / "README.md", root / "CONTRIBUTING.md", *sorted(root.glob("docs/**/*.md"))]
            if path.is_file()]


def check(paths, compiler):
    """A message for each block that does not compile, and how many programs and fragments there were."""
    found, programs, fragments = [], 0, 0
    for path in paths:
        for line, name, given, text in blocks(path):
            language = LANGUAGES.get(name)
            if language is None:
                continue
            if re.search(r"\bint\s+main\s*\(", text):
                programs += 1
                wrong = compiler.program(language, f'#line {line} "{path.name}"\n{text}')
            else:
                fragments += 1
                wrong = compiler.fragment(language, given, text, f'{line} "{path.name}"')
            if wrong:
                found.append(f"{path}:{line}: {wrong}")
    return found, programs, fragments


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--compiler-c", "--compiler-cpp", "--library", "--include"):
        parser.add_argument(option, required=True)
    parser.add_argument("root")
    arguments = parser.parse_args()
    compiler = Compiler(arguments.compiler_c, arguments.compiler_cpp, arguments.library, arguments.include)
    paths = documents(arguments.root)
    found, programs, fragments = check(paths, compiler)
    if not programs:
        found.append("no complete program was found: README.md has at least one")
    print("\n".join(found) if found else f"{len(paths)} documents: {programs} programs, {fragments} fragments compile")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
