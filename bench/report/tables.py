"""The tables that end a run."""

import bars


def number(value):
    return "-" if value is None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def with_unit(value, unit):
    return "-" if value is None else f"{number(value)} {unit}"


def print_table(head, rows):
    """Columns as wide as they need to be; the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ["-" * width for width in widths], *rows]:
        cells = [cell.ljust(width) if i == 0 else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))]
        print("  ".join(cells).rstrip())


def columns(cases):
    """(heading, scenario, case, figure) of each figure that was measured, in the order of the run."""
    found = []
    for case in cases:
        figures = {}
        for peer in case["peers"].values():
            figures.update(dict.fromkeys(peer["figures"]))
        for figure in figures:
            found.append((f"{case['scenario']} {case['case']} {figure}", case, figure))
    return found


def print_medians(cases):
    """A row for each figure, a column for each peer."""
    peers = list(dict.fromkeys(peer for case in cases for peer in case["peers"]))
    rows = []
    for heading, case, figure in columns(cases):
        cells = []
        for peer in peers:
            result = case["peers"].get(peer)
            if result is None:
                cells.append("")
            elif figure in result["figures"]:
                cells.append(number(result["figures"][figure]["median"]) + ("!" if result["failed"] else ""))
            else:
                cells.append("failed" if result["failed"] else "")
        rows.append([heading, *cells])
    print("Medians (! = some repetitions failed)")
    print_table(["", *peers], rows)


def print_bars(rows, suite):
    print("What to reach" + (" (smoke sizes: the verdicts mean nothing)" if suite == "smoke" else ""))
    print_table(
        ["scenario", "libexecq", "peer", "its figure", "ratio", "bar", ""],
        [[row["name"], with_unit(row["ours"], row["unit"]), row["peer"] or "-", with_unit(row["theirs"], row["unit"]),
          "-" if row["ratio"] is None else f"{row['ratio']:.2f}x", bars.limit(row), row["verdict"]] for row in rows])
