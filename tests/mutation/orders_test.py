"""orders.py on a small header and a model of it: each place is found and named, a change that the model sees is killed, one
that it does not see survives, and survivors.txt has to name exactly those."""

import contextlib
import io
import pathlib
import re
import sys
import tempfile

import orders

HEADER = """\
// An order in a comment does not count: std::memory_order::acquire
#pragma once
#include <atomic>
#define SPELLED std::memory_order::seq_cst
template <class Atomics>
class Gate {
public:
    Gate() : open_(0) {}
    void open() { open_.store(1, std::memory_order::release); }
    [[nodiscard]] bool pass(const int (&turns)[2])
    {
        Atomics::light_fence();
        for_each([&](int turn) { seen_[turns[turn]].load(std::memory_order_relaxed); });
        if (open_.load(std::memory_order::acquire) == 0)  // re-check
            return false;
        return open_.compare_exchange_strong(one_, 2, std::memory_order::acq_rel, std::memory_order::acquire);
    }
    int look() const { return open_.load(std::memory_order::seq_cst); }
    int never_called() const { return open_.load(std::memory_order::seq_cst); }
    bool twice()
    {
        open_.store(0, std::memory_order::seq_cst);
        open_.store(0, std::memory_order::seq_cst);  // re-check
        return one_ != 0;  // re-check: true
    }

private:
    template <class Visit>
    void for_each(const Visit& visit) { visit(0); }
    struct Atomic {
        Atomic(int given) : value(given) {}
        int load(std::memory_order order) const { return note("load", order), value; }
        void store(int given, std::memory_order order) { note("store", order), value = given; }
        bool compare_exchange_strong(int&, int given, std::memory_order order, std::memory_order failure)
        {
            return note("cas", order), note("cas failure", failure), value = given, true;
        }
        int value;
    };
    Atomic open_, seen_[2] = {0, 0};
    int one_ = 0;
};
"""

# In place of relacy, a model that looks at the orders themselves: it minds all but the failure's and twice()'s first one.
MODEL = """\
#include <cstdio>
#include <cstring>
#include <string>
inline std::string log;
inline void note(const char* what, std::memory_order order)
{
    if (std::strcmp(what, "cas failure") != 0)
        log += what + std::to_string(static_cast<int>(order)) + " ";
}
struct Fences { static void light_fence() { log += "fence "; } };
#include "base/gate.h"
int main()
{
    Gate<Fences> gate;
    const int turns[2] = {1, 0};
    gate.open();
    bool good = gate.pass(turns) && gate.look() == 2 && !gate.twice();
    good = good && log == "store3 fence load0 load2 cas4 load5 store5 store5 ";
    std::puts(good ? "holds" : "BROKEN");
    return good ? 0 : 1;
}
"""

FAILURE = "src/base/gate.h | pass | open_.compare_exchange_strong (failure) | acquire->relaxed"


def expect(got, wanted, what):
    if got != wanted:
        sys.exit(f"{what}: {got!r}, wanted {wanted!r}")


def run(root, *arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        try:
            wrong = orders.main(["--jobs", "2", *arguments], root)
        except SystemExit as stopped:
            return True, said.getvalue() + str(stopped)
    return wrong, said.getvalue()


def check_reading():
    places, prepared = orders.prepare("src/base/gate.h", HEADER, 7)
    got = [(place.function, place.what, *(change for change, _ in place.changes)) for place in places]
    expect(got, [
        ("open", "open_.store", "release->relaxed"),
        ("pass", "light_fence", "removed"),
        ("pass", "seen_.load"),
        ("pass", "open_.load", "acquire->relaxed"),
        ("pass", "re-check", "removed"),
        ("pass", "open_.compare_exchange_strong", "acq_rel->acquire", "acq_rel->release", "acq_rel->relaxed"),
        ("pass", "open_.compare_exchange_strong (failure)", "acquire->relaxed"),
        ("look", "open_.load", "seq_cst->acquire"),
        ("never_called", "open_.load", "seq_cst->acquire"),
        ("twice", "open_.store", "seq_cst->release"),
        ("twice", "open_.store #2", "seq_cst->release"),
        ("twice", "re-check", "removed"),
        ("twice", "re-check #2", "removed"),
    ], "the places of the sample")
    expect([place.number for place in places], list(range(7, 7 + len(places))), "their numbers")
    expect(places[0].line, 9, "the line of the first")
    # Taken out again, what was put in leaves the header as it was.
    bare = re.sub(r"::execq_mutant::order\(\d+, (std::memory_order(?:::|_)\w+)\)", r"\1", prepared)
    bare = re.sub(r"if \(!::execq_mutant::left_out\(\d+\)\) (?!\{)", "", bare)
    bare = re.sub(r"if \(!::execq_mutant::left_out\(\d+\)\) \{ (.*?;) \}", r"\1", bare)
    bare = re.sub(r" ?::execq_mutant::left_out\(\d+\) \? \w+ : static_cast<bool>\((.*)\)(?=[);])", r"\1", bare)
    expect(bare, HEADER, "the prepared header")
    for order, name, wanted in [("seq_cst", "exchange", ("acq_rel",)), ("seq_cst", "load", ("acquire",)),
                                ("relaxed", "load", ()), ("acq_rel", "exchange", ("acquire", "release", "relaxed"))]:
        expect(orders.weaker(order, name), wanted, f"weaker than {order}")


def check_running():
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        for folder in ("src/base", "capi", "include", "tests/model", "tests/mutation", "tests/support"):
            (root / folder).mkdir(parents=True)
        (root / "src/base/gate.h").write_text(HEADER)
        (root / "tests/model/gate_model.cc").write_text(MODEL)
        (root / "tests/mutation/mutant.h").write_text((orders.ROOT / orders.HERE / "mutant.h").read_text())
        survivors = root / "tests/mutation/survivors.txt"

        survivors.write_text("# nothing yet\n")
        wrong, said = run(root)
        expect(wrong, True, f"an unexplained survivor\n{said}")
        expect(said.count("SURVIVED without a reason"), 1, f"unexplained survivors\n{said}")
        expect(f"SURVIVED without a reason: {FAILURE}" in said, True, f"which one\n{said}")
        expect("12 of 13 mutants killed; 0 survivors explained, 1 not" in said, True, f"the count\n{said}")
        # Nobody calls never_called().
        expect("orders in src/ and capi/: 9, reached by a model: 8, without one: 1" in said, True, f"orders\n{said}")

        survivors.write_text(f"# of two lines\n{FAILURE} |\n    it goes\n    round again\n\n")
        wrong, said = run(root)
        expect((wrong, "1 survivors explained, 0 not" in said), (False, True), f"explained\n{said}")
        expect(run(root, "--check")[0], False, "the check of a list that fits")

        # Kept results are used: a compiled model that can only fail is not run.
        program = root / "build/mutation/orders/gate_model"
        before = orders.Runs.run
        orders.Runs.run = lambda *_: sys.exit(f"{program} was run again")
        expect(run(root)[0], False, "a second run")
        orders.Runs.run = before

        killed = FAILURE.replace(" (failure) | acquire->relaxed", " | acq_rel->relaxed")
        survivors.write_text(f"{FAILURE} | it goes round again\n{killed} | wrong\n")
        wrong, said = run(root)
        expect((wrong, f"does not survive: {killed}" in said), (True, True), f"a reason for what does not survive\n{said}")
        survivors.write_text(f"{FAILURE.replace('pass', 'gone')} | stale\n")
        expect(run(root, "--check")[0], True, "the check of a stale reason")
        survivors.write_text("src/base/gate.h | pass\n")
        expect(run(root, "--check")[0], True, "the check of a line that says too little")

        survivors.write_text("")
        (root / "tests/model/gate_model.cc").write_text(MODEL.replace("gate.open();", "gate.close();"))
        wrong, said = run(root)
        expect((wrong, "did not compile: gate_model.cc" in said), (True, True), f"a model that does not compile\n{said}")
        (root / "tests/model/gate_model.cc").write_text(MODEL.replace("gate.open();", ""))
        wrong, said = run(root)
        expect((wrong, "as shipped: killed" in said), (True, True), f"a model that does not hold\n{said}")


def check_survivors():
    text = "# -\na.h | f | x.load | acquire->relaxed |\n    it goes\n    round\n\nb.h | g | y.load | acquire->relaxed | why\n"
    expect(orders.read_survivors(text), {("a.h", "f", "x.load", "acquire->relaxed"): "it goes round",
                                         ("b.h", "g", "y.load", "acquire->relaxed"): "why"}, "survivors")
    try:
        orders.read_survivors(text + "c.h | g\n")
    except SystemExit as stopped:
        expect("survivors.txt:7:" in str(stopped), True, f"the line that says too little: {stopped}")


check_reading()
check_survivors()
check_running()
print("ok")
