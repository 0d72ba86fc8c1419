"""Looks into the rows table of a node's data.mdb, and changes it behind the daemon's back, by the LMDB library."""

import ctypes
import os

READ_ONLY, NOLOCK, NOTLS = 0x20000, 0x400000, 0x200000
SET_RANGE = 17
NOTFOUND = -30798


class _Value(ctypes.Structure):
    _fields_ = [("size", ctypes.c_size_t), ("data", ctypes.c_void_p)]

    @classmethod
    def of(cls, data):
        value = cls(len(data), ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p))
        value.kept = data
        return value

    def get(self):
        return ctypes.string_at(self.data, self.size)


def _lmdb():
    library = ctypes.CDLL("liblmdb.so.0")
    library.mdb_env_set_mapsize.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    for name in ("mdb_env_close", "mdb_txn_commit", "mdb_txn_abort", "mdb_cursor_close"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.mdb_strerror.restype = ctypes.c_char_p
    return library


class LmdbRows:
    """A context: one transaction, committed when it is left without an error. The daemon must be down or, if this only
    reads, at rest."""

    def __init__(self, directory, read_only=False, table=b"rows"):
        self.lmdb = _lmdb()
        self.environment, self.transaction = ctypes.c_void_p(), ctypes.c_void_p()
        self.table = ctypes.c_uint()
        self.call("mdb_env_create", ctypes.byref(self.environment))
        try:
            self.call("mdb_env_set_maxdbs", self.environment, 16)
            self.call("mdb_env_set_mapsize", self.environment,
                      2 * os.path.getsize(os.path.join(directory, "data.mdb")) + (1 << 26))
            flags = READ_ONLY if read_only else 0
            self.call("mdb_env_open", self.environment, directory.encode(), flags | NOLOCK | NOTLS, 0o600)
            self.call("mdb_txn_begin", self.environment, None, flags, ctypes.byref(self.transaction))
            self.call("mdb_dbi_open", self.transaction, table, 0, ctypes.byref(self.table))
        except BaseException:
            self.lmdb.mdb_env_close(self.environment)
            raise

    def call(self, name, *arguments):
        code = getattr(self.lmdb, name)(*arguments)
        if code != 0:
            raise OSError(f"{name}: {self.lmdb.mdb_strerror(code).decode()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.call("mdb_txn_commit", self.transaction)
            else:
                self.lmdb.mdb_txn_abort(self.transaction)
        finally:
            self.lmdb.mdb_env_close(self.environment)

    def at(self, position, visit):
        """visit(cursor, key, value) of the first row at or behind a position, the first bytes of a row key; None if
        there is none."""
        cursor = ctypes.c_void_p()
        self.call("mdb_cursor_open", self.transaction, self.table, ctypes.byref(cursor))
        try:
            key, value = _Value.of(position), _Value()
            code = self.lmdb.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(value), SET_RANGE)
            if code not in (0, NOTFOUND):
                raise OSError(f"mdb_cursor_get: {self.lmdb.mdb_strerror(code).decode()}")
            return visit(cursor, key, value) if code == 0 else None
        finally:
            self.lmdb.mdb_cursor_close(cursor)

    def delete_at(self, position):
        """Answers the Redis key whose row it was."""
        def delete(cursor, key, _):
            redis_key = redis_key_of(key.get())
            self.call("mdb_cursor_del", cursor, 0)
            return redis_key
        return self.at(position, delete)

    def place_at(self, position):
        """The Redis key of a row, and where its bytes lie in the file: (key, offset, size)."""
        def place(_, key, value):
            return redis_key_of(key.get()), value.data - _start_of_map(), value.size
        return self.at(position, place)


def _start_of_map():
    with open("/proc/self/maps") as maps:
        return next(int(line.split("-")[0], 16) for line in maps if line.rstrip().endswith("/data.mdb"))


def redis_key_of(row_key):
    """Row key = position 8 | length of the key 2 | key | ..."""
    return row_key[10:10 + int.from_bytes(row_key[8:10], "big")]


def delete_random_rows(directory, draw, count):
    """Deletes about so many rows, spread over the whole table; answers their Redis keys."""
    with LmdbRows(directory) as rows:
        deleted = [rows.delete_at(draw.randbytes(8)) for _ in range(count)]
    return [key for key in deleted if key is not None]


def random_places(directory, draw, count):
    """About so many rows, spread over the whole table: Redis key -> (offset, size)."""
    with LmdbRows(directory, read_only=True) as rows:
        places = [rows.place_at(draw.randbytes(8)) for _ in range(count)]
    return {place[0]: place[1:] for place in places if place is not None}
