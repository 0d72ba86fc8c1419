"""Makes the disk of one node fail, come short or take long, while it runs: see faulty_disk.cpp."""

import errno
import mmap
import os
import struct

from harness import BUILD

FIELDS = ("calls", "fail_from", "fail_count", "error", "kinds", "sync_delay_ms", "lie", "failed", "failed_kind")
WRITES, SYNCS, SIZES, RENAMES = 1, 2, 4, 8
ALL = 15
FOR_EVER = 1 << 60
SHORT = 0  # In place of an errno.
NAMES = {WRITES: "write", SYNCS: "sync", SIZES: "size", RENAMES: "rename", 0: "nothing"}
ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "short": SHORT}


class FaultyDisk:
    """Fields are read and set as attributes; they take effect at once."""

    def __init__(self, node):
        self.node = node
        path = node.directory + ".faults"
        with open(path, "wb") as out:
            out.write(bytes(8 * len(FIELDS)))
        with open(path, "r+b") as control:
            self.__dict__["memory"] = mmap.mmap(control.fileno(), 8 * len(FIELDS))
        self.preload = {
            "LD_PRELOAD": os.path.join(BUILD, "tests", "libfaulty_disk.so"),
            "KNIT_FAULT_DIRECTORY": os.path.realpath(node.directory),
            "KNIT_FAULT_CONTROL": path,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0",
        }

    def __getattr__(self, name):
        return struct.unpack_from("=Q", self.memory, 8 * FIELDS.index(name))[0]

    def __setattr__(self, name, value):
        if name in FIELDS:
            struct.pack_into("=Q", self.memory, 8 * FIELDS.index(name), value)
        else:
            self.__dict__[name] = value

    def attach(self):
        """From the next start on."""
        self.node.environment = self.preload

    def detach(self):
        self.node.environment = {}

    def arm(self, number, error, count=1, kinds=ALL):
        """The `number`th call from now on fails, and count - 1 after it."""
        self.fail_from = 0
        self.calls = self.failed = self.failed_kind = 0
        self.kinds = WRITES if error == SHORT else kinds
        self.error = error
        self.fail_count = count
        self.fail_from = number

    def disarm(self):
        self.fail_from = 0
