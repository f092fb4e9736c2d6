#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes of what the benchmarks have measured what people look at.

    publish.py collect MEASURED RESULTS   adds the date and the machine's facts
    publish.py draw RESULTS FOLDER        pictures (gnuplot), table in the
                                          document; data for gnuplot to FOLDER
    publish.py check RESULTS              fails if that table is not of RESULTS
"""
import datetime
import json
import os
import platform
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
DOCUMENT = os.path.join(HERE, "..", "docs", "performance.md")
PICTURES = os.path.join(HERE, "..", "docs", "performance")
BEGIN = "<!-- results: written by ci/bench -->"
END = "<!-- end of results -->"

# Of rows whose names begin like that: a picture's name and title.
BARS = {
    "processes": ("Starting processes", ["process"]),
    "pickle": ("Pickling objects", ["pickle"]),
    "connections": ("Connections and waiting", ["connection", "wait"]),
    "locks": ("Locks and semaphores", ["lock", "rlock", "semaphore"]),
    "handover": ("Hand-over between two processes",
                 ["event", "condition", "barrier"]),
    "queues": ("Queues", ["queue"]),
    "pools": ("Pools", ["pool"]),
    "shared": ("Shared state", ["shared_dict", "shared_list", "value",
                                "array"]),
    "shared_memory": ("Shared memory with a name", ["shared_memory"]),
}

# Of a family of rows: title, what is counted, what is timed.
LINES = {
    "scale.lock": ("One lock, always wanted", "processes",
                   "ns for acquire and release, all together"),
    "scale.queue": ("One queue, 64-byte items", "processes",
                    "ns for an item, all together"),
    "scale.pool": ("One pool, empty tasks, chunks of one", "workers",
                   "ns for a task"),
    "scale.wait": ("Waiting for many, one is ready", "objects",
                   "µs for send, wait, receive"),
    "scale.start.spawn": ("spawn, beside touched memory", "MiB touched",
                          "µs for start and join"),
    "scale.start.fork": ("fork, beside touched memory", "MiB touched",
                         "µs for start and join"),
    "scale.start.forkserver": ("forkserver, beside touched memory",
                               "MiB touched", "µs for start and join"),
}


# -- Facts ---------------------------------------------------------------------

def first_match(path, pattern):
    try:
        with open(path, encoding="utf-8") as file:
            found = re.search(pattern, file.read(), re.MULTILINE)
    except OSError:
        return ""
    return found.group(1).strip() if found else ""


def machine():
    memory = first_match("/proc/meminfo", r"^MemTotal:\s*(\d+) kB")
    return {
        "processor": first_match("/proc/cpuinfo", r"^model name\s*:(.*)$")
        or platform.processor() or platform.machine(),
        "processors": os.cpu_count(),
        "memory_gib": round(int(memory) / 2**20, 1) if memory else 0,
        "system": platform.system() + " " + platform.release(),
        "huge_pages": first_match(
            "/sys/kernel/mm/transparent_hugepage/enabled", r"\[(\w+)\]"),
    }


def collect(measured, results):
    with open(measured, encoding="utf-8") as file:
        found = json.load(file)
    rows = [row for row in found["rows"] if "skipped" not in row]
    goals = [row for row in rows if "goal" in row]
    whole = {
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "versions": {name: version.replace("_", ".") for name, version
                     in found["versions"].items() if version},
        "goals": {"met": sum(row["met"] for row in goals),
                  "missed": [row["name"] for row in goals if not row["met"]]},
        "skipped": [row for row in found["rows"] if "skipped" in row],
        "rows": rows,
    }
    write_lines(results, whole)


def write_lines(path, whole):
    """JSON with a line for each row, so that a difference can be read."""
    with open(path, "w", encoding="utf-8") as file:
        file.write("{\n")
        for key in ("date", "machine", "versions", "goals"):
            file.write("%s: %s,\n" % (json.dumps(key), json.dumps(whole[key])))
        for key, end in (("skipped", ",\n"), ("rows", "\n}\n")):
            lines = ",\n  ".join(json.dumps(row) for row in whole[key])
            file.write('"%s": [\n  %s\n]%s' % (key, lines, end))


# -- The table -----------------------------------------------------------------

def number(value):
    """With three digits that count."""
    if value == 0 or value >= 100:
        return "%.0f" % value
    return "%.3g" % value


def with_spread(row, side):
    low, high = row[side + "_quartiles"]
    return "%s (%s to %s) %s" % (number(row[side]), number(low), number(high),
                                 row["unit"])


def fairness(row, side):
    share = row.get(side + "_fairness")
    return "" if share is None else ", %.2f" % share


def verdict(row):
    if "goal" not in row:
        return ""
    goal = row["goal"].replace("<=", "at most ")
    return goal + (": met" if row["met"] else ": **missed**")


def table_line(row):
    cells = [row["name"], with_spread(row, "ours") + fairness(row, "ours")]
    if "ratio" in row:
        cells += [row["peer"],
                  with_spread(row, "theirs") + fairness(row, "theirs"),
                  number(row["ratio"])]
    else:
        cells += ["", "", ""]
    return "| " + " | ".join(cells + [verdict(row)]) + " |"


def summary(results):
    facts, missed = results["machine"], results["goals"]["missed"]
    met = results["goals"]["met"]
    yield "- %s, on %s, %s processors, %s GiB, %s" % (
        results["date"], facts["processor"], facts["processors"],
        facts["memory_gib"], facts["system"])
    for name, version in results["versions"].items():
        yield "- %s: %s" % (name, version)
    yield "- %d of %d goals are met" % (met, met + len(missed))
    for name in missed:
        yield "- missed: `%s`" % name
    for row in results["skipped"]:
        yield "- skipped: `%s`, %s" % (row["name"], row["skipped"])


def table(results):
    yield from summary(results)
    yield ""
    yield "| row | ours | peer | theirs | ratio | goal |"
    yield "|---|---|---|---|---|---|"
    for row in results["rows"]:
        yield table_line(row)


def split_document():
    with open(DOCUMENT, encoding="utf-8") as file:
        text = file.read()
    head, rest = text.split(BEGIN + "\n", 1)
    inner, tail = rest.split(END, 1)
    return head, inner, tail


def inner_text(results):
    return "\n" + "\n".join(table(results)) + "\n\n"


def write_table(results):
    head, _, tail = split_document()
    with open(DOCUMENT, "w", encoding="utf-8") as file:
        file.write(head + BEGIN + "\n" + inner_text(results) + END + tail)


def check(path):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    if split_document()[1] != inner_text(results):
        sys.exit("docs/performance.md: the table is not that of %s: "
                 "ci/bench --plot" % os.path.basename(path))


# -- Pictures ------------------------------------------------------------------

def plot(script, out, title, *arguments):
    subprocess.run(
        ["gnuplot", "-c", os.path.join(HERE, script),
         os.path.join(PICTURES, out + ".svg"), title, *map(str, arguments)],
        check=True)


def draw_bars(results, folder):
    for out, (title, families) in BARS.items():
        rows = [row for row in results["rows"]
                if row["name"].split(".")[0] in families
                and "ratio" in row and row["unit"] != "%"]
        if not rows:
            continue
        data = os.path.join(folder, out + ".dat")
        with open(data, "w", encoding="utf-8") as file:
            for row in rows:
                goal = row.get("goal_ratio", 0)
                file.write('"%s (%s)" %.6g %.6g\n' % (
                    row["name"], row["peer"], 1 / row["ratio"],
                    1 / goal if goal else 0))
        plot("bars.gp", out, title, data, len(rows))


def sides(results, family):
    """Of each side of a family: its name, and lines for gnuplot."""
    ours, all_sides = [], {}
    for row in results["rows"]:
        parts = row["name"].rsplit(".", 2)
        if parts[0] != family or "ratio" not in row:
            continue
        ours = ours or [parts[1]]  # several peers: ours beside the first one
        for side, name in (("ours", "multiproc"), ("theirs", row["peer"])):
            if side == "ours" and parts[1] != ours[0]:
                continue
            low, high = row[side + "_quartiles"]
            all_sides.setdefault(name, []).append(
                (int(parts[2]), row[side], low, high,
                 row.get(side + "_fairness", -1)))
    return all_sides


def draw_lines(results, folder):
    for family, (title, count, time) in LINES.items():
        all_sides = sides(results, family)
        if not all_sides:
            continue
        out = family.replace(".", "-")
        data = os.path.join(folder, out + ".dat")
        with open(data, "w", encoding="utf-8") as file:
            for name, points in all_sides.items():
                file.write('"%s"\n' % name)
                for point in sorted(points):
                    file.write("%d %.6g %.6g %.6g %.6g\n" % point)
                file.write("\n\n")
        plot("lines.gp", out, title, data, len(all_sides), count, time, 2)
        if any(point[4] >= 0 for points in all_sides.values()
               for point in points):
            plot("lines.gp", out + "-fairness", title, data, len(all_sides),
                 count, "slowest process / fastest process", 5)


def draw(path, folder):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    os.makedirs(folder, exist_ok=True)
    os.makedirs(PICTURES, exist_ok=True)
    write_table(results)
    draw_bars(results, folder)
    draw_lines(results, folder)


VERBS = {"collect": (collect, 2), "draw": (draw, 2), "check": (check, 1)}


def main():
    verb, count = VERBS.get(sys.argv[1] if len(sys.argv) > 1 else "", (None, 0))
    if verb is None or len(sys.argv) != count + 2:
        sys.exit(__doc__)
    verb(*sys.argv[2:])


if __name__ == "__main__":
    main()
