"""Changes the rows table of a stopped node's data.mdb behind the daemon's back, by the LMDB library itself."""

import ctypes
import os

NOLOCK, NOTLS = 0x400000, 0x200000
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
    """A context: one transaction, committed when it is left without an error. The daemon must be down."""

    def __init__(self, directory, table=b"rows"):
        self.lmdb = _lmdb()
        self.environment, self.transaction = ctypes.c_void_p(), ctypes.c_void_p()
        self.table = ctypes.c_uint()
        self.call("mdb_env_create", ctypes.byref(self.environment))
        try:
            self.call("mdb_env_set_maxdbs", self.environment, 16)
            self.call("mdb_env_set_mapsize", self.environment,
                      2 * os.path.getsize(os.path.join(directory, "data.mdb")) + (1 << 26))
            self.call("mdb_env_open", self.environment, directory.encode(), NOLOCK | NOTLS, 0o600)
            self.call("mdb_txn_begin", self.environment, None, 0, ctypes.byref(self.transaction))
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

    def delete_at(self, position):
        """Deletes the first row at or behind a position (a row key's first bytes), and answers its row key; None if
        there is none."""
        cursor = ctypes.c_void_p()
        self.call("mdb_cursor_open", self.transaction, self.table, ctypes.byref(cursor))
        try:
            key, value = _Value.of(position), _Value()
            code = self.lmdb.mdb_cursor_get(cursor, ctypes.byref(key), ctypes.byref(value), SET_RANGE)
            if code == NOTFOUND:
                return None
            if code != 0:
                raise OSError(f"mdb_cursor_get: {self.lmdb.mdb_strerror(code).decode()}")
            row_key = key.get()
            self.call("mdb_cursor_del", cursor, 0)
            return row_key
        finally:
            self.lmdb.mdb_cursor_close(cursor)


def delete_random_rows(directory, draw, count):
    """Deletes about so many rows, spread over the whole table; answers the Redis keys whose rows they were."""
    with LmdbRows(directory) as rows:
        deleted = [rows.delete_at(draw.randbytes(8)) for _ in range(count)]
    # Row key = position 8 | length of the key 2 | key | ...
    return [row[10:10 + int.from_bytes(row[8:10], "big")] for row in deleted if row is not None]
