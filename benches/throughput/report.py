"""The result as Markdown: medians over the rounds, ratios to the limit and to strongSwan, and where it was measured."""

import os
import platform
import re
import shlex
import statistics
import sys

from candidates import StrongSwan
from measure import LOADS
from topology import run

HERE = os.path.dirname(os.path.abspath(__file__))


def table(results, columns):
    """One row for each candidate; `columns`: (title, load name or None, field, decimals)."""
    rows = [[title for title, *_ in columns]]
    for name, rounds in results.items():
        rows.append([_cell(rounds, *column[1:]) for column in columns])
    rows[0].insert(0, "candidate")
    for row, name in zip(rows[1:], results):
        row.insert(0, name)
    return markdown(rows)


def rates(results):
    """Rates with their spread, round-trip times."""
    columns = [(f"TCP {load.name}", load.name, "gbps", 2) for load in LOADS]
    columns += [("RTT idle", None, "rtt_ms", 3)]
    columns += [(f"RTT {load.name}", load.name, "loaded_rtt_ms", 2) for load in LOADS if load.streams == 1]
    return table(results, columns)


def costs(results):
    """CPU time for each kilobyte, and how busy the machine was with other things."""
    columns = [(f"gateway {load.name}", load.name, "gateway_ns_per_kb", 0) for load in LOADS]
    columns += [(f"client {load.name}", load.name, "client_ns_per_kb", 0) for load in LOADS if load.streams == 1]
    columns += [("foreign load", "1 up", "foreign", 2)]
    return table(results, columns)


def ratios(results, reference):
    """Every candidate divided by the reference."""
    fields = [(f"TCP {load.name}", load.name, "gbps") for load in LOADS]
    fields += [(f"gateway CPU {load.name}", load.name, "gateway_ns_per_kb") for load in LOADS]
    fields += [("RTT idle", None, "rtt_ms")]
    rows = [["candidate", *(title for title, *_ in fields)]]
    for name, rounds in results.items():
        if name != reference:
            rows.append([name, *(_ratio(rounds, results[reference], *field[1:]) for field in fields)])
    return markdown(rows)


def environment():
    """What the figures depend on."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.*)", file.read())
    commit = run("git", "-C", HERE, "describe", "--always", "--dirty", check=False).strip() or "unknown"
    versions = {
        "CPU": f"{os.cpu_count()} x {model.group(1) if model else platform.machine()}",
        "kernel": platform.release(),
        "commit": commit,
        "iperf3": run("iperf3", "--version").split("\n")[0],
        "strongSwan": strongswan_version(),
        "load average before": "{:.1f} {:.1f} {:.1f}".format(*os.getloadavg()),
        "command": shlex.join(["python3", *sys.argv]),
    }
    return markdown([["", ""], *([key, value] for key, value in versions.items())])


def strongswan_version():
    """The version of charon."""
    try:
        return run(StrongSwan.CHARON, "--version").strip()
    except FileNotFoundError:
        return "not installed"


def markdown(rows):
    """Rows as a table with columns of equal width; the first row is the head."""
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def _values(rounds, load, field):
    key = load or "idle"
    return [r[key][field] for r in rounds if r.get(key, {}).get(field) is not None]


def _cell(rounds, load, field, decimals):
    values = _values(rounds, load, field)
    if not values or field.endswith("_per_kb") and not any(values):
        return "-"
    middle = f"{statistics.median(values):.{decimals}f}"
    return f"{middle} ({min(values):.{decimals}f}-{max(values):.{decimals}f})" if field == "gbps" else middle


def _ratio(rounds, reference, load, field):
    ours, theirs = _values(rounds, load, field), _values(reference, load, field)
    if not any(ours) or not any(theirs):
        return "-"
    return f"{statistics.median(ours) / statistics.median(theirs):.2f}"
