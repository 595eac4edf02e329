"""Samples of the benchmark programs, a JSON object a line, and the medians of what belongs together."""

import json
import statistics


def read(path):
    """All samples of a file, in their order."""
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def summarise(samples):
    """A list of cases: {scenario, case, params, peers: {peer: {failed, figures: {figure: summary}}}}."""
    cases = {}
    for sample in samples:
        key = (sample["scenario"], sample["case"])
        case = cases.setdefault(
            key, {"scenario": key[0], "case": key[1], "params": sample["params"], "peers": {}})
        peer = case["peers"].setdefault(sample["peer"], {"failed": 0, "figures": {}})
        peer["failed"] += sample["failed"]
        for figure, value in sample["figures"].items():
            peer["figures"].setdefault(figure, []).append(value)
    for case in cases.values():
        for peer in case["peers"].values():
            peer["figures"] = {figure: summary(values) for figure, values in peer["figures"].items()}
    return list(cases.values())


def summary(values):
    return {"median": statistics.median(values), "least": min(values), "most": max(values), "samples": values}


def median(cases, scenario, case, peer, figure):
    """One median; None if it was not measured."""
    for one in cases:
        if (one["scenario"], one["case"]) == (scenario, case):
            found = one["peers"].get(peer, {"figures": {}})["figures"].get(figure)
            return None if found is None else found["median"]
    return None
