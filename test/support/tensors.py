"""Reads safetensors with the standard library and compares rows of numbers."""

import array
import json
import math
import struct
import sys

# BF16 and F8_E4M3 as their bits.
CODES = {"F32": "f", "I32": "i", "U8": "B", "BF16": "H", "F8_E4M3": "B"}


class Tensors:
    """The tensors of a safetensors file, read when they are asked for."""

    def __init__(self, path):
        self.path = path
        with open(path, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            self.header = json.loads(file.read(size))
        self.begin = 8 + size
        self.header.pop("__metadata__", None)

    def __contains__(self, name):
        return name in self.header

    def shape(self, name):
        return self.header[name]["shape"]

    def values(self, name, first=0, count=None):
        """Returns `count` elements from `first` on, or all."""
        entry = self.header[name]
        out = array.array(CODES[entry["dtype"]])
        begin, end = entry["data_offsets"]
        if count is None:
            count = (end - begin) // out.itemsize - first
        with open(self.path, "rb") as file:
            file.seek(self.begin + begin + first * out.itemsize)
            out.frombytes(file.read(count * out.itemsize))
        if sys.byteorder == "big":
            out.byteswap()
        return out

    def row(self, name, index):
        width = self.shape(name)[-1]
        return self.values(name, index * width, width)

    def rows(self, name):
        width = self.shape(name)[-1]
        flat = self.values(name)
        return [flat[i:i + width] for i in range(0, len(flat), width)]


def argmax(row):
    return row.index(max(row))


class Difference:
    """How far rows are from their reference."""

    def __init__(self):
        self.worst_row = self.largest = self.reference = 0.0
        self.finite = True

    def add(self, found, expected):
        square = size = 0.0
        for a, b in zip(found, expected, strict=True):
            square += (a - b) * (a - b)
            size += b * b
            self.largest = max(self.largest, abs(a - b))
            self.reference = max(self.reference, abs(b))
        if not math.isfinite(square):
            self.finite = False
        self.worst_row = max(self.worst_row, math.sqrt(square / size))

    def max_over_max(self):
        return self.largest / self.reference

    def __str__(self):
        return f"worst row {self.worst_row:.2e}, max/max {self.max_over_max():.2e}"


class Report:
    """Collects failures; the exit code says whether there were any."""

    def __init__(self):
        self.failures = 0

    def expect(self, good, message):
        print(("ok      " if good else "FAILED  ") + message, flush=True)
        self.failures += not good

    def finish(self):
        sys.exit(1 if self.failures else 0)
