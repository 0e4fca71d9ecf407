"""Compares what clients received with what the database holds."""


def compare(node, ledger, context, whole_epoch=None):
    """Raises AssertionError, with `context`, unless
    - every response that was received complete is recorded, and nothing is recorded twice;
    - nothing is recorded that was not sent: what was sent and not received was in flight;
    - all that was sent in `whole_epoch`, which nothing killed, is recorded;
    - the hourly rows add up to the events.
    The node runs and is drained."""
    rows = node.sql("SELECT raw_path AS path, COUNT(*) AS times FROM exchanges "
                    "WHERE raw_path NOT LIKE '\\_\\_%' ESCAPE '\\' GROUP BY raw_path")
    recorded = {row["path"]: row["times"] for row in rows}
    twice = sorted(path for path, times in recorded.items() if times > 1)
    missing = sorted(ledger.complete - recorded.keys())
    unknown = sorted(recorded.keys() - ledger.sent)
    problems = []
    if missing:
        problems.append(f"received but not recorded: {len(missing)}: {missing[:10]}")
    if twice:
        problems.append(f"recorded twice: {len(twice)}: {twice[:10]}")
    if unknown:
        problems.append(f"recorded but never sent: {len(unknown)}: {unknown[:10]}")
    if whole_epoch is not None:
        mark = f"/e{whole_epoch}-"
        left = sorted(path for path in ledger.sent - recorded.keys() if mark in path)
        if left:
            problems.append(f"ended without a kill, not recorded: {left[:10]}")
    status = node.status()
    for name in ("lost", "degraded"):
        if status[name] != 0:
            problems.append(f"{name}: {status[name]}")
    if status["consumer"]["dead_letters"] != 0:
        problems.append(f"dead letters: {status['consumer']['dead_letters']}")
    events = node.value("SELECT COUNT(*) FROM traffic_events")
    requests = node.value("SELECT COALESCE(SUM(requests), 0) FROM path_stats_hourly")
    totals_only = node.value("SELECT COALESCE(SUM(totals_only), 0) FROM positions")
    if requests != events + totals_only:
        problems.append(f"hourly rows say {requests}, events {events} (+{totals_only} totals only)")
    if problems:
        raise AssertionError(f"{context}: " + "; ".join(problems) + "\n" + node.output())
    return events
