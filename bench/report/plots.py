"""SVG plots: bars for the suite, lines for the growth curves."""

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams.update({
    "svg.hashsalt": "execq",  # the same figures give the same file
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e4e4e4",
})
import matplotlib.pyplot as plt  # noqa: E402: after the backend was chosen

OURS = "#c1272d"
OTHERS = ["#4a6fa5", "#7fa6d6", "#5b8c5a", "#a3c585", "#b08ea2", "#8c8c8c", "#d9a441", "#444444", "#9a7b4f"]

# scenario: title, figure, label of the axis, logarithmic
BAR_PLOTS = {
    "A": ("A: empty tasks from foreign threads (threads/producers)", "mtasks_per_s", "million tasks a second", False),
    "B": ("B: the same with a future each", "mtasks_per_s", "million tasks a second", False),
    "C": ("C: tree of 2^20 tasks from inside workers (threads)", "mtasks_per_s", "million tasks a second", False),
    "D": ("D: submit one, wait for it", "p50_us", "median, microseconds", True),
    "DC": ("DC: the same after 200 ms of idleness", "p50_us", "median, microseconds", False),
    "E1": ("E1: from a libuv loop and back, one at a time", "p50_us", "median, microseconds", False),
    "E2": ("E2: from a libuv loop and back, 1000 in flight (threads)", "mtasks_per_s", "million callbacks a second", False),
    "F": ("F: a queued task", "bytes_per_task", "resident bytes", False),
    "F-future": ("F: a queued task with a future", "bytes_per_task", "resident bytes", False),
    "H": ("H: an idle pool of 4 threads, 5 s", "cpu_ms", "processor time, milliseconds", False),
    "M": ("M: every 100th task sleeps for 5 ms", "longest_wait_ms", "longest wait, milliseconds", True),
}


def colours(peers):
    others = iter(OTHERS * 2)
    return {peer: OURS if peer == "execq" else next(others) for peer in peers}


def save(figure, path):
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def draw_bars(cases, folder):
    """One file for each scenario that was measured."""
    for scenario, plot in BAR_PLOTS.items():
        chosen = [case for case in cases if case["scenario"] == scenario]
        if chosen:
            draw_scenario(chosen, plot, folder / f"{scenario}.svg")


def draw_scenario(cases, plot, path):
    title, figure_name, label, logarithmic = plot
    peers = list(dict.fromkeys(peer for case in cases for peer in case["peers"]))
    colour = colours(peers)
    figure, axes = plt.subplots(figsize=(7.5, 0.6 + 0.24 * (len(peers) + 1) * len(cases)))
    ticks, names = [], []
    place = 0
    for case in cases:
        for peer in peers:
            values = case["peers"].get(peer, {"figures": {}})["figures"].get(figure_name)
            if values is None:
                continue
            middle = values["median"]
            axes.barh(place, middle, color=colour[peer], height=0.8)
            axes.errorbar(middle, place, xerr=[[middle - values["least"]], [values["most"] - middle]], color="#222222",
                          linewidth=0.8, capsize=2)
            axes.annotate(f"{middle:.3g}", (max(middle, values["most"]), place), xytext=(4, 0), fontsize=8,
                          textcoords="offset points", verticalalignment="center")
            ticks.append(place)
            names.append(peer if len(cases) == 1 else f"{case['case']}  {peer}")
            place += 1
        place += 0.7
    axes.set_yticks(ticks, names)
    axes.invert_yaxis()
    if logarithmic:
        axes.set_xscale("log")
    axes.margins(x=0.08)  # room for the figures beside the bars
    axes.grid(axis="y", visible=False)
    axes.set_xlabel(f"{label} (bar: median; line: least to most)")
    axes.set_title(title, loc="left")
    save(figure, path)



# file: title, scenario, the case belongs to the curve, its place on the axis, label of that, figure, label of it
GROWTH_PLOTS = {
    "growth-threads": ("A: one producer, more threads", "A", lambda p: p["producers"] == 1, "threads",
                       "mtasks_per_s", "million tasks a second"),
    "growth-producers": ("A: two threads, more producers", "A", lambda p: p["threads"] == 2, "producers",
                         "mtasks_per_s", "million tasks a second"),
    "growth-drain": ("One worker empties a queue of this depth", "drain", lambda p: True, "tasks", "mtasks_per_s",
                     "million tasks a second"),
    "growth-memory": ("A queued task in a queue of this depth", "F", lambda p: True, "tasks", "bytes_per_task",
                      "resident bytes"),
}


def draw_growth(cases, folder):
    for name, plot in GROWTH_PLOTS.items():
        title, scenario, belongs, parameter, figure_name, label = plot
        chosen = [case for case in cases if case["scenario"] == scenario and belongs(case["params"])]
        if chosen:
            draw_curve(chosen, (title, parameter, figure_name, label), folder / f"{name}.svg")


def draw_curve(cases, plot, path):
    title, parameter, figure_name, label = plot
    peers = list(dict.fromkeys(peer for case in cases for peer in case["peers"]))
    colour = colours(peers)
    figure, axes = plt.subplots(figsize=(7.5, 4))
    for peer in peers:
        points = sorted((case["params"][parameter], case["peers"][peer]["figures"][figure_name]) for case in cases
                        if figure_name in case["peers"].get(peer, {"figures": {}})["figures"])
        places = [place for place, _ in points]
        axes.plot(places, [values["median"] for _, values in points], marker="o", markersize=3.5, color=colour[peer],
                  label=peer, linewidth=2 if peer == "execq" else 1.2)
        axes.fill_between(places, [values["least"] for _, values in points],
                          [values["most"] for _, values in points], color=colour[peer], alpha=0.15, linewidth=0)
    axes.set_xscale("log", base=10 if parameter == "tasks" else 2)
    axes.set_yscale("log")
    if parameter != "tasks":
        places = sorted({case["params"][parameter] for case in cases})
        axes.set_xticks(places, [str(place) for place in places])
    axes.set_xlabel("depth" if parameter == "tasks" else parameter)
    axes.set_ylabel(label)
    axes.set_title(title, loc="left")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    save(figure, path)
