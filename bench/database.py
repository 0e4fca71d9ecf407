"""Makes Weir's database large without knowing its schema: it repeats the events it holds."""

import os
import sqlite3
from pathlib import Path

GIGABYTE = 1 << 30


class NoEvents(Exception):
    """The database has no events to repeat."""


def _new_value(name: str, kind: str, unique: set[str]) -> str:
    """Copies a column; one that must be unique gets random bytes of the same length."""
    if name not in unique:
        return f'"{name}"'
    return f'randomblob(length("{name}"))' if kind.upper() == "BLOB" else "abs(random())"


def grow(path: Path, bytes_min: int) -> int:
    """Doubles the table `events` until the file has `bytes_min` bytes; returns its rows. The server
    must be stopped, and must have recorded some events."""
    database = sqlite3.connect(path, isolation_level=None)
    try:
        columns = database.execute("PRAGMA table_info(events)").fetchall()
        key = {name for _, name, kind, _, _, pk in columns if pk and kind.upper() == "INTEGER"}
        unique: set[str] = set()
        for _, index, is_unique, *_ in database.execute("PRAGMA index_list(events)").fetchall():
            indexed = [row[2] for row in database.execute(f'PRAGMA index_info("{index}")')]
            if is_unique and len(indexed) == 1:
                unique.add(indexed[0])
        copied = [(name, kind) for _, name, kind, *_ in columns if name not in key]
        names = ", ".join(f'"{name}"' for name, _ in copied)
        values = ", ".join(_new_value(name, kind, unique) for name, kind in copied)
        rows = database.execute("SELECT count(*) FROM events").fetchone()[0] if columns else 0
        if rows == 0:
            raise NoEvents(f"{path}: no events to repeat")
        database.execute("PRAGMA synchronous=OFF")
        while os.path.getsize(path) < bytes_min:
            limit = max(1000, min(rows, 1_000_000))  # Bounds the write-ahead log.
            sql = f"INSERT INTO events ({names}) SELECT {values} FROM events LIMIT {limit}"
            rows += database.execute(sql).rowcount
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        os.sync()
        return rows
    finally:
        database.close()
