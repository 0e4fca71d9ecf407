"""Keeps tests away from the end of a day, an hour or a window of statistics: what they count would be
divided between two."""

import time

DAY_S = 86_400
HOUR_S = 3600
TRAFFIC_WINDOW_S = 300


def keep_clear_of_the_end_of(period_s, needed_s):
    """Where less than `needed_s` of the period are left, by UTC, sleeps until the next one."""
    left = period_s - time.time() % period_s
    if left < needed_s:
        time.sleep(left + 0.05)
