"""Traces of small programs, judged: trace_test.py <kinds> <compress_tree> <libexecq.so> <folder to work in> <case>."""

import os
import pathlib
import shutil
import subprocess
import sys

import check

KINDS, COMPRESS_TREE, LIBRARY, FOLDER = sys.argv[1:5]
FOLDER = pathlib.Path(FOLDER)
RUNS = 1 + 1 + 2 + 5 + 3 + 1 + 2 + 2 + 3 + 2 + 1 + 1  # blocking_ones … timed_ones of kinds.c, without the series


def run(*command, trace=None):
    environment = {name: value for name, value in os.environ.items() if name != "EXECQ_TRACE"}
    if trace is not None:
        environment["EXECQ_TRACE"] = str(trace)
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        sys.exit(f"{command}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stderr


def judged(path, *wishes):
    faults = check.judge(pathlib.Path(path).read_text(encoding="utf-8"), wishes)
    if faults:
        sys.exit("\n".join([f"{path}:", *faults[:30]]))


def events(path):
    return check.json.loads(pathlib.Path(path).read_text(encoding="utf-8"))


def wishes_of_all():
    escaped = 'name="quoted" back\\slash\n\t\x01 \xe9 \ufffd\ufffd'
    return ("rows=kinds:2", "rows=execq:1", "name=a name", escaped, "phases=MXBEstfbeC", "name=submit a name",
            "name=withdraw task", "name=cancel task", "name=fail task", "name=deliver task", "name=kinds: waiting")


def bodies(path):
    return [event for event in events(path) if event["ph"] == "B" and not event["name"].startswith("deliver ")]


def all_kinds_are_traced():
    trace = FOLDER / "trace.json"
    run(KINDS, "start", trace)
    judged(trace, *wishes_of_all())
    # Each body once, and each run of the series.
    if len(bodies(trace)) < RUNS + 3:
        sys.exit(f"{len(bodies(trace))} bodies")
    waiting = {event["name"]: event["args"]["tasks"] for event in events(trace) if event["ph"] == "C"}
    if set(waiting) != {"kinds: waiting", "execq: waiting"}:
        sys.exit(f"counted: {waiting}")
    longest = max(len(event.get("name", "")) for event in events(trace))
    if longest > 500:
        sys.exit(f"a name of {longest} characters")


def the_environment_starts_it_and_exit_stops_it():
    run(KINDS, "run", trace=FOLDER / "trace.%p.json")
    (trace,) = FOLDER.glob("trace.*.json")
    judged(trace, *wishes_of_all())
    if trace.name != f"trace.{events(trace)[0]['pid']}.json":
        sys.exit(f"{trace.name} is not named after the process")


def a_task_that_exits_leaves_a_whole_file():
    trace = FOLDER / "trace.json"
    run(KINDS, "exit", trace=trace)
    judged(trace, "unfinished", "rows=kinds:2" if len(bodies(trace)) > 2 else "phases=Bst", "runs=2")


def an_unwritable_file_is_a_line_on_stderr():
    for trace in (FOLDER / "no" / "trace.json", FOLDER):
        said = run(KINDS, "run", trace=trace).splitlines()
        if len(said) != 1 or not said[0].startswith(f"execq: EXECQ_TRACE={trace}: no trace: "):
            sys.exit(f"said: {said}")
    if run(KINDS, "run", trace="") != "":
        sys.exit("an empty name is none")
    if any(FOLDER.iterdir()):
        sys.exit("there is a file")


def traces_come_and_go():
    run(KINDS, "restarts", FOLDER / "trace")
    for number in range(8):
        judged(FOLDER / f"trace.{number}", "unfinished")
    judged(FOLDER / "trace.first")
    if len(events(FOLDER / "trace.first")) != 1:
        sys.exit("more than the name of the process")
    if not any(bodies(FOLDER / f"trace.{number}") for number in range(8)):
        sys.exit("nothing was traced")


def the_demo_is_traced():
    folder = FOLDER / "files"
    folder.mkdir()
    for number in range(40):
        (folder / f"{number}.txt").write_text(f"{number} " * 20000)
    trace = FOLDER / "trace.json"
    run(COMPRESS_TREE, "--rounds", "2", "--threads", "2", folder, trace=trace)
    judged(trace, "rows=compress:2", "runs=80", "phases=MXBEstfC", "name=deliver task", "name=compress: waiting")
    is_drawn(trace)


def is_drawn(trace):
    """The picture of the README, where the system's Python can draw."""
    python = "/usr/bin/python3"
    if subprocess.run([python, "-c", "import matplotlib"], stderr=subprocess.DEVNULL).returncode != 0:
        print("no matplotlib: not drawn")
        return
    program = pathlib.Path(__file__).parents[2] / "docs" / "plots" / "draw_trace"
    run(python, "-B", program, trace, FOLDER / "trace.svg", "--for", "1000")
    drawn = (FOLDER / "trace.svg").read_text(encoding="utf-8")
    missing = [label for label in ("main", "compress/0", "compress/1", "submitted", "delivered") if label not in drawn]
    if missing:
        sys.exit(f"not in the picture: {missing}")


def probes_are_listed():
    notes = run_readelf()
    listed = {line.split()[-1] for line in notes if line.strip().startswith("Name:")}
    wanted = {"submit", "start", "end", "complete", "deliver", "wake"}
    if not wanted <= listed:
        sys.exit(f"not there: {wanted - listed}")


def run_readelf():
    done = subprocess.run(["readelf", "-n", LIBRARY], stdout=subprocess.PIPE, text=True, check=True)
    lines = done.stdout.splitlines()
    return [line for before, line in zip(lines, lines[1:]) if before.strip() == "Provider: execq"]


if __name__ == "__main__":
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    globals()[sys.argv[5]]()
