# SPDX-License-Identifier: GPL-2.0
"""What the benchmark has measured, from its CSV."""
import csv

NUMBERS = ("mib", "descriptors", "threads", "cpus", "samples",
           "median", "low", "high")

# The parent of which one thing at a time is varied.
BASE = {"mib": 16, "pages": "small", "descriptors": 10, "kind": "cloexec",
        "threads": 1}


class Rows(list):
    """Lines of results, as dictionaries by the names of their columns."""

    def select(self, **columns):
        return Rows(row for row in self if
                    all(row[name] == value for name, value in columns.items()))

    def find(self, quantity, method, **columns):
        """The row of BASE, but for what @columns say. LookupError if none."""
        return self.select(quantity=quantity, method=method,
                           **{**BASE, **columns})[0]

    def median(self, quantity, method, **columns):
        return self.find(quantity, method, **columns)["median"]

    def along(self, axis, quantity, method, **columns):
        """The rows of BASE, but for @columns, at every value of @axis."""
        columns = {**BASE, **columns}
        del columns[axis]
        rows = self.select(quantity=quantity, method=method, **columns)
        rows.sort(key=lambda row: row[axis])
        return rows


def read(paths):
    rows = Rows()
    for path in paths:
        with open(path, encoding="ascii") as file:
            rows += csv.DictReader(file)
    for row in rows:
        for name in NUMBERS:
            row[name] = float(row[name])
    return rows


def print_table(table):
    """The first row is the heading. An empty cell is an escaped space."""
    table = [[str(cell) or "\\ " for cell in row] for row in table]
    widths = [max(map(len, column)) for column in zip(*table)]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths))
             .rstrip() for row in table]
    print(rule, lines[0], rule, *lines[1:], rule, sep="\n")


def heading(text, line="="):
    print(f"\n{text}\n{line * len(text)}\n")


def figure(name, text):
    print(f"\n.. figure:: {name}.svg\n\n   {text}\n")
