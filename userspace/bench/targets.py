#!/usr/bin/python3 -B
# SPDX-License-Identifier: GPL-2.0
"""
    userspace/bench/targets.py KERNEL CSV...

Prints what is aimed at, next to what was measured, as a table that is good for
a terminal and for reStructuredText. What needs figures that are not in the CSV
is left out.
"""
import sys

import results


def ratio(rows, quantity, method, other, **parent):
    return (rows.median(quantity, method, **parent) /
            rows.median(quantity, other, **parent))


def spread(rows, axis, method="avfork"):
    """The most that the method's caller pays along one axis, to the least."""
    medians = [row["median"] for row in
               rows.along(axis, "caller", method, cpus=1)]
    if len(medians) < 2:
        raise LookupError
    return max(medians) / min(medians)


def speedup(rows, method, threads):
    one, many = (rows.median("throughput", method, threads=n, cpus=2)
                 for n in (1, threads))
    return many / one


def pays(other):
    return lambda rows: ratio(rows, "caller", "avfork", other, cpus=1)


def whole(other, **parent):
    return lambda rows: ratio(rows, "spawn", "avfork", other, cpus=1, **parent)


def pause(method):
    """What the caller pays after a pause, to what it pays in the same run."""
    return lambda rows: (rows.median("cold", method, cpus=1) /
                         rows.median("warm", method, cpus=1))


def first(method):
    return lambda rows: ratio(rows, "first", method, "posix_spawn", cpus=1)


TARGETS = (
    ("caller pays, to a raw clone's", "<=", 1.03, pays("clone_vm_files")),
    ("caller pays, to pthread_create's", "<=", 0.90, pays("pthread_create")),
    ("caller pays, to vfork's", "<=", 0.35, pays("vfork")),
    ("caller pays, to posix_spawn's", "<=", 0.23, pays("posix_spawn")),
    ("caller pays, most to least over memory", "<=", 1.02,
     lambda rows: spread(rows, "mib")),
    ("caller pays, most to least over descriptors", "<=", 1.02,
     lambda rows: spread(rows, "descriptors")),
    ("caller pays, most to least over threads", "<=", 1.02,
     lambda rows: spread(rows, "threads")),
    ("a prepared child's start, to a raw clone", "<=", 0.40,
     lambda rows: ratio(rows, "caller", "avfork_start", "clone_vm_files", cpus=1)),
    ("the same, most to least over memory", "<=", 1.02,
     lambda rows: spread(rows, "mib", "avfork_start")),
    ("the same, most to least over descriptors", "<=", 1.02,
     lambda rows: spread(rows, "descriptors", "avfork_start")),
    ("the same, most to least over threads", "<=", 1.02,
     lambda rows: spread(rows, "threads", "avfork_start")),
    ("caller pays after 3 s of idleness, to at once", "<=", 1.10,
     pause("avfork")),
    ("the same of avfork_exec", "<=", 1.10, pause("avfork_exec")),
    ("first call of a process, to posix_spawn's", "<=", 1.00,
     first("avfork")),
    ("the same of avfork_exec", "<=", 1.00, first("avfork_exec")),
    ("whole spawn, to vfork's", "<=", 0.92, whole("vfork")),
    ("whole spawn, to posix_spawn's, 5,000 descriptors", "<=", 0.20,
     whole("posix_spawn", descriptors=5000)),
    ("whole spawn, to posix_spawn's, 100,000 descriptors", "<=", 0.02,
     whole("posix_spawn", descriptors=100000)),
    ("spawns/s of a thread, to posix_spawn's", ">=", 1.5,
     lambda rows: ratio(rows, "throughput", "avfork", "posix_spawn", cpus=2)),
    ("8 threads to 1, to posix_spawn's", ">=", 1.0,
     lambda rows: speedup(rows, "avfork", 8) /
     speedup(rows, "posix_spawn", 8)),
)


def judge(rows, sign, limit, measure):
    try:
        figure = measure(rows)
    except LookupError:
        return "–"
    met = figure <= limit if sign == "<=" else figure >= limit
    return f"{figure:.3f} {'met' if met else 'missed'}"


def table(kernels):
    """@kernels: the rows of each, by its name."""
    lines = [("Target", "Limit", *kernels)]
    for name, sign, limit, measure in TARGETS:
        judged = [judge(rows, sign, limit, measure)
                      for rows in kernels.values()]
        if any(result != "–" for result in judged):
            lines.append((name, f"{sign} {limit:.2f}", *judged))
    return lines


if __name__ == "__main__":
    results.print_table(table({sys.argv[1]: results.read(sys.argv[2:])}))
