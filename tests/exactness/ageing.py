"""Makes what happened today have happened long ago: the database of a node that is stopped."""

import sqlite3

HOUR_MS = 3_600_000


def age(database, hours):
    """As if everything of today had happened `hours` earlier; what is of that day already stays,
    and what is moved there comes late. A path must not have both in one hour, nor a client in one
    day. The digests over the rows are no longer theirs: the ledger says that it knows none, as for
    rows of a version that kept none."""
    with sqlite3.connect(database) as connection:
        today = connection.execute("SELECT max(day) FROM day_ledger").fetchone()[0]
        days = (hours + 12) // 24
        values = {"today": today, "then": today - days, "days": days, "hours": hours,
                  "ms": hours * HOUR_MS}

        def run(statement):
            connection.execute(statement, values)

        run("UPDATE events SET ts_ms = ts_ms - :ms")
        run("UPDATE event_zones SET ts_min = ts_min - :ms, ts_max = ts_max - :ms")
        for table in ("hourly", "totals", "sketches"):
            run(f"UPDATE {table} SET hour = hour - :hours WHERE hour / 24 = :today")
        run("UPDATE totals SET hour_bucket = strftime('%Y-%m-%dT%H', hour * 3600, 'unixepoch')")
        run("UPDATE client_daily SET day = :then WHERE day = :today")
        run("INSERT INTO day_ledger(day, inserted, sampled_out, totals_only, dead, lost, degraded,"
            " ingested_day) SELECT :then, 0, 0, 0, 0, 0, 0, ingested_day FROM day_ledger"
            " WHERE day = :today ON CONFLICT DO NOTHING")
        for name in ("inserted", "sampled_out", "totals_only", "degraded"):
            run(f"UPDATE day_ledger SET {name} = {name} + (SELECT {name} FROM day_ledger"
                " WHERE day = :today), digest_rows = 0 WHERE day = :then")
        run("UPDATE adjustments SET day = :then, hour = hour - :hours,"
            " part = (SELECT adjust_part FROM day_ledger WHERE day = :then) WHERE day = :today")
        run("DELETE FROM day_ledger WHERE day = :today")
    connection.close()
