"""Reads LMDB's file format, as far as a test needs it to damage chosen things: which pages are in use and
what lies where in them. Little endian, 64 bit."""

import struct

PAGE = 4096
HEADER = 16
BRANCH, LEAF, OVERFLOW, META = 1, 2, 4, 8
BIG_DATA, SUB_DATA = 1, 2
NONE = (1 << 64) - 1


class LmdbFile:
    """`places`: what -> list of (offset, bytes) in the file. What is one of:

    meta           the two pages that LMDB starts from
    branch         inner pages
    leaf structure headers and slots of leaf pages, headers of overflow pages
    TABLE keys, TABLE values   for the tables rows, log and meta
    free list      the whole pages of LMDB's own list of free pages
    unused         pages that are in no tree
    """

    def __init__(self, path):
        with open(path, "rb") as file:
            self.data = file.read()
        self.places = {}
        self.used = {0, 1}
        self.add("meta", HEADER, 136)
        self.add("meta", PAGE + HEADER, 136)
        newest = max((0, 1), key=lambda page: struct.unpack_from("<Q", self.data, page * PAGE + HEADER + 128)[0])
        free, main = (self.root(newest * PAGE + HEADER + 24 + 48 * n) for n in (0, 1))
        self.walk(free, "free list")
        self.walk(main, None)
        for page in range(len(self.data) // PAGE):
            if page not in self.used:
                self.add("unused", page * PAGE, PAGE)

    def add(self, what, offset, size):
        self.places.setdefault(what, []).append((offset, size))

    def root(self, offset):
        return struct.unpack_from("<Q", self.data, offset + 40)[0]

    def walk(self, page, table):
        if page == NONE:
            return
        self.used.add(page)
        at = page * PAGE
        flags, lower = struct.unpack_from("<HH", self.data, at + 10)
        if table == "free list":
            self.add(table, at, PAGE)
        else:
            self.add("branch" if flags & BRANCH else "leaf structure", at, lower)
        for slot in struct.unpack_from(f"<{(lower - HEADER) // 2}H", self.data, at + HEADER):
            self.visit_branch(at + slot, table) if flags & BRANCH else self.visit_leaf(at + slot, table)

    def visit_branch(self, node, table):
        low, high, top, key_size = struct.unpack_from("<HHHH", self.data, node)
        if table != "free list":
            self.add("branch", node, 8 + key_size)
        self.walk(low | high << 16 | top << 32, table)

    def visit_leaf(self, node, table):
        low, high, flags, key_size = struct.unpack_from("<HHHH", self.data, node)
        size = low | high << 16
        key = self.data[node + 8:node + 8 + key_size]
        value = node + 8 + key_size
        if flags & SUB_DATA:
            self.add("leaf structure", node, 8 + key_size + 48)
            self.walk(self.root(value), key.decode())
        elif flags & BIG_DATA:
            self.visit_overflow(struct.unpack_from("<Q", self.data, value)[0], size, table)
        if flags & SUB_DATA or table == "free list":
            return
        self.add("leaf structure", node, 8)
        self.add(f"{table} keys", node + 8, key_size)
        if not flags & BIG_DATA:
            self.add(f"{table} values", value, size)

    def visit_overflow(self, page, size, table):
        count, = struct.unpack_from("<I", self.data, page * PAGE + 12)
        self.used.update(range(page, page + count))
        if table != "free list":
            self.add("leaf structure", page * PAGE, HEADER)
            self.add(f"{table} values", page * PAGE + HEADER, size)


def flip_bits(path, places, draw, count):
    """Flips `count` bits, each in one of the places, drawn by their number; answers the offsets."""
    offsets = []
    with open(path, "r+b") as file:
        for _ in range(count):
            at, size = draw.choice(places)
            offset = at + draw.randrange(size)
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1 << draw.randrange(8)]))
            offsets.append(offset)
    return offsets
