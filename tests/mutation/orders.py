"""Weakens each memory order of the lock-free headers that have a model, and leaves out each fence and each re-check in them,
one at a time, and runs the models: a change that no model notices is a survivor. See docs/verification/mutation.md.

    orders.py [--jobs N] [--check] [--list] [--verbose] [--markdown] [NAME…]     NAME: part of a header's path

A place is in a header that a model (tests/model/*_model.cc) includes, directly or not, and in a function that the model
runs; what no model reaches is counted, not judged. Places are:

  - `std::memory_order::…`, weakened: acq_rel to acquire, release and relaxed; acquire and release to relaxed; seq_cst to
    acq_rel, of a load to acquire, of a store to release
  - `…::light_fence();` and `…::heavy_fence();`, left out
  - what stands on a line that is marked `// re-check`: the condition of an if or a while, or what is returned, becomes false
    (with `// re-check: true`, true); any other statement is left out

The tree is not touched: the headers are copied to build/mutation/orders, and each place there asks at run time whether it
is the one (tests/mutation/mutant.h), so that a model is compiled once for all of its mutants. Results are kept by a hash of
all that a model is made of.

Survivors have to stand in tests/mutation/survivors.txt, with the reason, and whatever stands there has to survive.
--check: only whether what stands there is in the headers.
"""

import argparse
import concurrent.futures
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
HERE = "tests/mutation"
FLAGS = ["-std=c++20", "-O1", "-w", "-DEXECQ_MODEL_HOLDS_ONLY"]

ORDER = re.compile(r"\bstd::memory_order(?:::|_)(relaxed|acquire|release|acq_rel|seq_cst)\b")
FENCE = re.compile(r"\b\w+::((?:light|heavy)_fence)\(\);")
RE_CHECK = re.compile(r"//[^\n]*?\bre-check\b(?:: (true|false)\b)?")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)
CONTROL = {"if", "while", "for", "switch", "catch", "alignas", "return", "noexcept", "decltype", "requires", "sizeof"}
REMOVED = "removed"


@dataclasses.dataclass(frozen=True)
class Place:
    """What can be changed: its number in all prepared headers, and what it is called in survivors.txt."""

    number: int
    header: str
    function: str
    what: str
    line: int
    changes: tuple  # (what the change is called, what EXECQ_MUTANT wants after the number)


@dataclasses.dataclass(frozen=True)
class Mutant:
    place: Place
    change: str
    setting: str

    @property
    def name(self):
        return (self.place.header, self.place.function, self.place.what, self.change)


# ---- reading a header ----


def blanked(text):
    """The text with comments, literals and directives made blank, each character where it was."""
    blank = lambda match: re.sub(r"[^\n]", " ", match.group())
    text = re.sub(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", blank, text, flags=re.M)
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'(?![\w])', blank, text, flags=re.S)


def function_name(head):
    """What is defined by what stands before a brace; None where that is no function."""
    head = re.sub(r"\[\[.*?\]\]", " ", head, flags=re.S)
    match = re.search(r"(~?\w+|operator[^\w\s(]+)\s*\(", head)
    if not match or match.group(1) in CONTROL or re.search(r"\b(class|struct|union|enum|namespace)\b[^<>()]*$", head):
        return None
    return match.group(1)


def functions(code):
    """(begin, end, name) of each function's body, those inside functions left out."""
    found, open_braces, start, inside = [], [], 0, None
    for at, character in enumerate(code):
        if character == "{":
            name = function_name(code[start:at]) if inside is None else None
            if name is not None:
                inside = len(open_braces)
            open_braces.append((at, name))
        elif character == "}" and open_braces:
            begin, name = open_braces.pop()
            if inside == len(open_braces):
                found.append((begin, at, name))
                inside = None
        if character in ";{}":
            start = at + 1
    return found


def closing(code, at):
    """Where the parenthesis or bracket that opens at `at` ends."""
    depth = 0
    for end in range(at, len(code)):
        depth += (code[end] in "([{") - (code[end] in ")]}")
        if depth == 0:
            return end
    raise ValueError(f"unbalanced: {code[at:at + 60]!r}")


def opening(code, at):
    """Where the call begins that `at` is an argument of; -1 if it is in none."""
    depth = 0
    for begin in range(at - 1, -1, -1):
        depth += (code[begin] in ")]}") - (code[begin] in "([{")
        if depth < 0:
            return begin if code[begin] == "(" else -1
    return -1


def operation(code, at):
    """("tail_.load", "load", whether an order stands before it in the same call) of an order's place."""
    begin = opening(code, at)
    match = re.search(r"(\w+)\s*$", code[:begin]) if begin >= 0 else None
    if not match:
        return "order", "", False
    name, before = match.group(1), code[: match.start()]
    if not before.endswith((".", "->")):
        return name, name, False
    before = before[:-1] if before.endswith(".") else before[:-2]
    while before.endswith(("]", ")")):
        depth, end = 0, len(before) - 1
        while True:
            depth += (before[end] in "])") - (before[end] in "[(")
            if depth == 0:
                break
            end -= 1
        before = before[:end]
    target = re.search(r"(\w+)$", before)
    what = f"{target.group(1)}.{name}" if target else name
    failure = ORDER.search(code, begin, at) is not None
    return (what + " (failure)" if failure else what), name, failure


def weaker(order, name):
    """The orders that one is weakened to, in an operation of that name."""
    if order == "seq_cst":
        return ("acquire",) if name == "load" else ("release",) if name == "store" else ("acq_rel",)
    return {"acq_rel": ("acquire", "release", "relaxed"), "acquire": ("relaxed",), "release": ("relaxed",)}.get(order, ())


def weaker_at(order, name, failure):
    return ("acquire",) if failure and order == "seq_cst" else weaker(order, name)


def re_check_edits(code, text, mark, place):
    """What to insert where, for the marked line."""
    begin = text.rfind("\n", 0, mark.start()) + 1
    value = mark.group(1) or "false"
    match = re.search(r"\b(if|while)\b(?:\s+constexpr)?\s*\(", code[begin : mark.start()])
    if match:
        open_at = begin + match.end() - 1
        return [(open_at + 1, f"::execq_mutant::left_out({place}) ? {value} : static_cast<bool>("),
                (closing(code, open_at), ")")]
    first = re.search(r"\S", code[begin : mark.start()])
    if not first:
        raise ValueError("a re-check mark stands behind nothing")
    first = begin + first.start()
    end = code.index(";", first)
    if re.match(r"return\b", code[first:]):
        after = first + len("return")
        return [(after, f" ::execq_mutant::left_out({place}) ? {value} : static_cast<bool>("), (end, ")")]
    return [(first, f"if (!::execq_mutant::left_out({place})) {{ "), (end + 1, " }")]


def prepare(header, text, number):
    """(the places of a header, the header in which each of them asks); numbers begin with `number`."""
    code, places, edits, names = blanked(text), [], [], {}
    bodies = functions(code)

    def add(at, what, changes):
        function = next((name for begin, end, name in bodies if begin < at < end), "-")
        seen = names[(function, what)] = names.get((function, what), 0) + 1
        if seen > 1:
            what = f"{what} #{seen}"
        places.append(Place(number + len(places), header, function, what, code.count("\n", 0, at) + 1, tuple(changes)))
        return places[-1].number

    found = [(match.start(), "order", match) for match in ORDER.finditer(code)]
    found += [(match.start(), "fence", match) for match in FENCE.finditer(code)]
    found += [(match.start(), "re-check", match) for match in RE_CHECK.finditer(text)]
    for at, kind, match in sorted(found, key=lambda item: item[0]):
        if kind == "order":
            what, name, failure = operation(code, at)
            order = match.group(1)
            place = add(at, what, [(f"{order}->{to}", f":{to}") for to in weaker_at(order, name, failure)])
            edits += [(at, f"::execq_mutant::order({place}, "), (match.end(), ")")]
        elif kind == "fence":
            place = add(at, match.group(1), [(REMOVED, "")])
            edits.append((at, f"if (!::execq_mutant::left_out({place})) "))
        else:
            place = add(at, "re-check", [(REMOVED, "")])
            edits += re_check_edits(code, text, match, place)
    return places, edited(text, edits)


def edited(text, edits):
    # Of several at one place, what was found first stands first.
    parts, last = [], 0
    for at, inserted in sorted(edits, key=lambda edit: edit[0]):
        parts += [text[last:at], inserted]
        last = at
    return "".join(parts) + text[last:]


# ---- the models and their headers ----


def closure(root, path):
    """All files of the project that a file includes, directly or not, by their path in it."""
    found, wanted = set(), [path]
    while wanted:
        current = wanted.pop()
        for name in INCLUDE.findall(current.read_text(encoding="utf-8")):
            candidates = [(folder / name).resolve() for folder in (current.parent, root / "src", root / "tests/support")]
            target = next((candidate for candidate in candidates if candidate.is_file()), None)
            if target is not None and str(target.relative_to(root)) not in found:
                found.add(str(target.relative_to(root)))
                wanted.append(target)
    return found


class Models:
    """All models, their headers, and the places in those."""

    def __init__(self, root):
        self.root = root.resolve()
        self.parts_of = {path: sorted(closure(self.root, path))
                         for path in sorted(self.root.glob("tests/model/*_model.cc"))}
        self.headers_of = {model: [part for part in parts if part.startswith("src/")]
                           for model, parts in self.parts_of.items()}
        self.prepared, self.places = {}, []
        for header in sorted({header for headers in self.headers_of.values() for header in headers}):
            text = (self.root / header).read_text(encoding="utf-8")
            places, self.prepared[header] = prepare(header, text, len(self.places))
            self.places += places

    def mutants(self):
        return [Mutant(place, change, setting) for place in self.places for change, setting in place.changes]

    def fingerprint(self, model):
        """Of all that decides what the mutants of a model do."""
        digest = hashlib.sha256(" ".join(FLAGS).encode())
        digest.update(subprocess.run(["c++", "--version"], capture_output=True, check=True).stdout)
        # Not the prepared texts: numbers change with other headers.
        for part in [model.relative_to(self.root), f"{HERE}/mutant.h", *self.parts_of[model]]:
            digest.update(str(part).encode() + (self.root / part).read_bytes())
        return digest.hexdigest()


# ---- running them ----


class Runs:
    def __init__(self, models, folder):
        self.models, self.folder = models, folder
        self.store = folder / "results.json"
        self.kept = json.loads(self.store.read_text()) if self.store.exists() else {}

    def keep(self):
        temporary = self.store.with_suffix(".new")
        temporary.write_text(json.dumps(self.kept, indent=0, sort_keys=True))
        temporary.replace(self.store)

    def write_headers(self):
        copy = self.folder / "headers"
        shutil.rmtree(copy, ignore_errors=True)
        for header, text in self.models.prepared.items():
            path = copy / header
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")

    def program(self, model):
        return self.folder / model.stem

    def compile(self, model):
        """None, or what the compiler said."""
        root, copy = self.models.root, self.folder / "headers/src"
        command = ["c++", *FLAGS, "-include", str(root / HERE / "mutant.h"), "-I", str(copy), "-I", str(root / "include"),
                   "-I", str(root / "tests/support"), str(model), "-o", str(self.program(model))]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return None if done.returncode == 0 else done.stderr

    def baseline(self, model):
        """Seconds that a model takes as shipped, and the names of the places that it reaches; it has to hold."""
        key = "baseline " + self.models.fingerprint(model)
        if key not in self.kept:
            reached = self.program(model).with_suffix(".reached")
            verdict, seconds = self.run(model, None, {"EXECQ_REACHED": str(reached)})
            if verdict != "survived":
                raise SystemExit(f"orders.py: {model.name} as shipped: {verdict}")
            numbers = {int(number) for number in reached.read_text().split()}
            names = [list(mutant_free_name(place)) for place in self.models.places if place.number in numbers]
            self.kept[key] = {"seconds": seconds, "reached": names}
        return self.kept[key]["seconds"], {tuple(name) for name in self.kept[key]["reached"]}

    def run(self, model, limit, settings):
        """("killed" with how, or "survived"), seconds."""
        began = time.monotonic()
        try:
            done = subprocess.run([self.program(model)], env=os.environ | settings, timeout=limit, capture_output=True,
                                  text=True, check=False)
        except subprocess.TimeoutExpired:
            return "killed: time limit", time.monotonic() - began
        seconds = time.monotonic() - began
        if done.returncode == 0:
            return "survived", seconds
        if done.returncode < 0:
            return f"killed: signal {-done.returncode}", seconds
        line = next((line for line in done.stdout.splitlines() if "BROKEN" in line), "")
        if not line:
            raise SystemExit(f"orders.py: {model.name} {settings}: exit {done.returncode}: {done.stderr[:300]}")
        return "killed: " + re.sub(r"\s+", " ", line), seconds

    def judge(self, mutant, models):
        """What the first model to notice says; "survived" if none does. The fastest goes first."""
        for model, seconds in models:
            key = " ".join(mutant.name) + " " + self.models.fingerprint(model)
            if key not in self.kept:
                limit = 120 + 30 * seconds
                setting = {"EXECQ_MUTANT": f"{mutant.place.number}{mutant.setting}"}
                self.kept[key] = self.run(model, limit, setting)[0]
            if self.kept[key] != "survived":
                return f"{self.kept[key]} [{model.name}]"
        return "survived"


def mutant_free_name(place):
    return (place.header, place.function, place.what)


# ---- survivors.txt ----


def read_survivors(text):
    """{(header, function, what, change): reason}; a line that is indented goes on with the one before it."""
    survivors = {}
    # Joined where they are, so that the numbers of lines stay.
    more = re.compile(r"(?:\n[ \t]+\S[^\n]*)+")
    joined = more.sub(lambda match: re.sub(r"\s*\n\s+", " ", match.group()) + "\n" * match.group().count("\n"), text)
    for number, line in enumerate(joined.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split("|", 4)]
        if len(parts) != 5 or not all(parts):
            raise SystemExit(f"survivors.txt:{number}: wanted header | function | operation | change | reason")
        if tuple(parts[:4]) in survivors:
            raise SystemExit(f"survivors.txt:{number}: twice")
        survivors[tuple(parts[:4])] = parts[4]
    return survivors


def stale(survivors, mutants):
    known = {mutant.name for mutant in mutants}
    return [name for name in survivors if name not in known]


# ---- what is said ----


def count_orders(root):
    """How often an order stands in the sources of the library."""
    files = [path for folder in ("src", "capi") for path in (root / folder).rglob("*") if path.suffix in (".h", ".cc")]
    return sum(len(ORDER.findall(blanked(path.read_text(encoding="utf-8")))) for path in files)


def rows_of(verdicts, reached):
    """(header, [places, mutants, killed, survived]), the sum of all last."""
    rows = {}
    for place in {mutant.place for mutant in verdicts} | set(reached):
        row = rows.setdefault(place.header, [0, 0, 0, 0])
        row[0] += 1
    for mutant, verdict in verdicts.items():
        row = rows[mutant.place.header]
        row[1] += 1
        row[2 if verdict.startswith("killed") else 3] += 1
    total = [sum(row[i] for row in rows.values()) for i in range(4)]
    return sorted(rows.items()) + [("total", total)]


def table(rows):
    lines = [f"{'header':32} {'places':>7} {'mutants':>8} {'killed':>7} {'survived':>9}"]
    return lines + [f"{header:32} {row[0]:7} {row[1]:8} {row[2]:7} {row[3]:9}" for header, row in rows]


def markdown(rows, survivors):
    """Both tables of docs/verification/mutation.md."""
    lines = ["| header | places | mutants | killed | survived |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join([header, *map(str, row)]) + " |" for header, row in rows]
    lines += ["", "| survivor | change | reason |", "|---|---|---|"]
    for (header, function, what, change), reason in survivors.items():
        lines.append(f"| {header}, {function}: {what} | {change} | {reason.replace('|', chr(92) + '|')} |")
    return lines


def run_all(root, names, jobs, verbose, as_markdown):
    models = Models(root)
    folder = root / "build/mutation/orders"
    folder.mkdir(parents=True, exist_ok=True)
    alone = open(folder / "lock", "w", encoding="utf-8")  # open until the end: two runs do not share a folder
    fcntl.flock(alone, fcntl.LOCK_EX)
    runs = Runs(models, folder)
    survivors = read_survivors((root / HERE / "survivors.txt").read_text(encoding="utf-8"))
    wanted = lambda header: not names or any(name in header for name in names)
    used = [model for model, headers in models.headers_of.items() if any(map(wanted, headers))]
    runs.write_headers()
    failed = False
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        broken = dict(zip(used, pool.map(runs.compile, used)))
        for model, said in broken.items():
            if said is not None:
                print(f"did not compile: {model.name}\n{said[:2000]}")
                failed = True
        used = [model for model in used if broken[model] is None]
        seconds = dict(zip(used, pool.map(runs.baseline, used)))
        runs.keep()
        reaching = {}
        for model in sorted(used, key=lambda model: seconds[model][0]):
            for name in seconds[model][1]:
                reaching.setdefault(name, []).append((model, seconds[model][0]))
        reached = [place for place in models.places if wanted(place.header) and mutant_free_name(place) in reaching]
        mutants = [mutant for mutant in models.mutants() if mutant.place in set(reached)]
        verdicts = {}
        jobs_of = {pool.submit(runs.judge, mutant, reaching[mutant_free_name(mutant.place)]): mutant for mutant in mutants}
        for done in concurrent.futures.as_completed(jobs_of):
            mutant = jobs_of[done]
            verdicts[mutant] = done.result()
            runs.keep()
            if verbose or verdicts[mutant] == "survived":
                where = f"{mutant.place.header}:{mutant.place.line}"
                print(f"{where}: {' | '.join(mutant.name[1:])}: {verdicts[mutant]}", flush=True)
    rows = rows_of(verdicts, reached)
    print("\n".join(markdown(rows, survivors) if as_markdown else table(rows)))
    return report(root, wanted, reached, verdicts, survivors) or failed


def report(root, wanted, reached, verdicts, survivors):
    """True if something is wrong."""
    alive = {mutant.name for mutant, verdict in verdicts.items() if verdict == "survived"}
    limits = sum(verdict.startswith("killed: time limit") for verdict in verdicts.values())
    print(f"killed by the time limit, in which a model hangs: {limits}")
    orders = [place for place in reached if place.what.split(" #")[0] != "re-check" and not place.what.endswith("_fence")]
    total = count_orders(root)
    print(f"orders in src/ and capi/: {total}, reached by a model: {len(orders)}, without one: {total - len(orders)}")
    unexplained = sorted(alive - set(survivors))
    dead = sorted(name for name in survivors if wanted(name[0]) and name not in alive)
    for name in unexplained:
        print("SURVIVED without a reason: " + " | ".join(name))
    for name in dead:
        print("in survivors.txt, but does not survive: " + " | ".join(name))
    killed = sum(verdict.startswith("killed") for verdict in verdicts.values())
    gaps = sum(survivors[name].startswith("Gap:") for name in alive & set(survivors))
    print(f"{killed} of {len(verdicts)} mutants killed; {len(alive & set(survivors))} survivors explained, "
          f"{len(unexplained)} not; {gaps} of the reasons are gaps of a model")
    return bool(unexplained or dead) or not verdicts


def check(root):
    """Whether survivors.txt and the marks fit the headers; says how many places there are."""
    models = Models(root)
    survivors = read_survivors((root / HERE / "survivors.txt").read_text(encoding="utf-8"))
    wrong = stale(survivors, models.mutants())
    for name in wrong:
        print("in survivors.txt, but not in the headers: " + " | ".join(name))
    headers = len({place.header for place in models.places})
    print(f"{len(models.headers_of)} models, {len(models.places)} places in {headers} headers, {len(survivors)} survivors")
    return bool(wrong) or not models.places


def main(arguments, root=ROOT):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=int(os.environ.get("EXECQ_JOBS", os.cpu_count() or 1)))
    parser.add_argument("--check", action="store_true", help="only whether survivors.txt fits the headers")
    parser.add_argument("--list", action="store_true", help="only the mutants")
    parser.add_argument("--markdown", action="store_true", help="the tables as the documents have them")
    parser.add_argument("--verbose", action="store_true", help="a line for each mutant")
    parser.add_argument("names", nargs="*", metavar="NAME", help="part of a header's path")
    given = parser.parse_args(arguments)
    if given.check:
        return check(root)
    if given.list:
        for mutant in Models(root).mutants():
            print(" | ".join(mutant.name))
        return False
    return run_all(root, given.names, given.jobs, given.verbose, given.markdown)


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]) else 0)
