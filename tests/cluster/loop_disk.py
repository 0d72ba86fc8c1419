"""A disk whose power can be cut: ext4 in a file, of which only what was written to the disk survives.

Two file systems lie in each other, both on loop devices: the inner one, in which the daemon writes, is a
file of the outer one. Freezing the outer one stops the inner one's disk at one instant, also in
the middle of a sync; a copy of the file made then is what the disk held. What the inner file system
still had in memory is lost, as with a power cut. (The model has no volatile cache in the disk itself.)
"""

import ctypes
import fcntl
import os
import shutil
import subprocess
import tempfile
import unittest

FIFREEZE = 0xC0045877
FITHAW = 0xC0045878
CLONE_NEWNS = 0x00020000


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")


def enter_own_mounts():
    """What this process and its children mount from now on goes with them, whatever ends them."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0:
        raise OSError(ctypes.get_errno(), "unshare: no right to mount")
    run("mount", "--make-rprivate", "/")


def require_loop_devices():
    if os.geteuid() != 0:
        raise unittest.SkipTest("power cuts need root, to mount loop devices")
    try:
        enter_own_mounts()
    except OSError as error:
        raise unittest.SkipTest(f"power cuts need loop devices: {error}")


class LoopDisk:
    """Mounted at `path`, which must be an empty directory. Requires: require_loop_devices()."""

    def __init__(self, path, megabytes=512):
        self.path = path
        shared = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.directory = tempfile.mkdtemp(prefix="knit-disk-", dir=shared)
        self.outer = os.path.join(self.directory, "outer")
        self.image = os.path.join(self.outer, "disk")
        self.copy = os.path.join(self.directory, "copy")
        os.mkdir(self.outer)
        self.mounted = []
        try:
            self.make(self.outer + ".image", 2 * megabytes + 64)
            self.mount(self.outer + ".image", self.outer)
            self.make(self.image, megabytes)
            self.mount(self.image, self.path)
        except OSError as error:
            self.close()
            raise unittest.SkipTest(f"power cuts need loop devices: {error}")

    def close(self):
        while self.mounted:
            subprocess.run(["umount", self.mounted.pop()], capture_output=True)
        shutil.rmtree(self.directory, ignore_errors=True)

    @staticmethod
    def make(path, megabytes):
        with open(path, "wb") as out:
            out.truncate(megabytes << 20)
        run("mkfs.ext4", "-q", "-F", path)

    def mount(self, image, path):
        run("mount", "-o", "loop", image, path)
        self.mounted.append(path)

    def unmount(self, path):
        run("umount", path)
        self.mounted.remove(path)

    def cut(self, end_writer):
        """Keeps what the disk holds at this instant. Then `end_writer` is called while the disk still stands
        still: from then on nobody may be told anything more."""
        outer = os.open(self.outer, os.O_RDONLY)
        try:
            fcntl.ioctl(outer, FIFREEZE, 0)
            try:
                run("cp", "--sparse=always", self.image, self.copy)
                end_writer()
            finally:
                fcntl.ioctl(outer, FITHAW, 0)
        finally:
            os.close(outer)

    def restore(self):
        """Mounts what the last cut kept. Requires: the writer has ended."""
        self.unmount(self.path)
        os.remove(self.image)
        run("cp", "--sparse=always", self.copy, self.image)
        self.mount(self.image, self.path)
