#include "stats/internal/schema.h"

#include <array>

namespace weir::stats::internal {
namespace {

// Version 1 makes the tables, version 2 the views, version 3 what is derived from events,
// version 4 archives.
// Version 5 lets traffic_events show the path that was asked for, not the one it is counted under:
// its rows are single exchanges, and who looks there wants to know what a client did;
// path_stats_hourly is where paths are grouped, and `exchanges` has both. Version 6 lists what
// clients asked for.
// Version 7 keeps apart what is counted without detail rows, so that it can be archived; a ledger
// row of an earlier version has such counts in its hours only, `unadjusted`. It also holds sketches
// of whole days.
//
// In `events`, a column of type ANY holds a word_id (integer) or, where the dictionary is full, the
// text itself; the views ask for the type first, because a text such as "12" would be found as a
// number.
//
// traffic_events uses scalar subqueries and no joins: COUNT(*) over it then counts the leaves of
// one table. path_stats_hourly uses joins, so that a filter on path or hour_bucket finds its rows
// by index; the rows of sqlite_stat1 tell SQLite how selective each index is, which it would only
// guess.
constexpr std::array<std::string_view, 7> kMigrations{
    R"sql(
CREATE TABLE meta(name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES('next_seq', 1);

CREATE TABLE paths(path_id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE words(word_id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, word TEXT NOT NULL,
  UNIQUE (kind, word)) STRICT;

CREATE TABLE events(
  seq INTEGER PRIMARY KEY,
  epoch INTEGER NOT NULL, loop INTEGER NOT NULL, sequence INTEGER NOT NULL,
  id ANY NOT NULL,
  ts_ms INTEGER NOT NULL, lag_s INTEGER NOT NULL,
  path_id INTEGER NOT NULL, raw_path TEXT,
  method ANY, status INTEGER NOT NULL, us INTEGER NOT NULL,
  client INTEGER NOT NULL, ip ANY, ua ANY, country ANY, city ANY, colo ANY, route ANY,
  geo INTEGER NOT NULL, cache INTEGER NOT NULL, outcome INTEGER NOT NULL,
  attempts INTEGER NOT NULL, flags INTEGER NOT NULL,
  upstream_us INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL
) STRICT;

CREATE TABLE hourly(
  hour INTEGER NOT NULL, path_id INTEGER NOT NULL, route ANY,
  requests INTEGER NOT NULL, errors INTEGER NOT NULL,
  status_1xx INTEGER NOT NULL, status_2xx INTEGER NOT NULL, status_3xx INTEGER NOT NULL,
  status_4xx INTEGER NOT NULL, status_5xx INTEGER NOT NULL,
  method_get INTEGER NOT NULL, method_head INTEGER NOT NULL, method_post INTEGER NOT NULL,
  method_put INTEGER NOT NULL, method_patch INTEGER NOT NULL, method_delete INTEGER NOT NULL,
  method_options INTEGER NOT NULL, method_other INTEGER NOT NULL,
  cache_hit INTEGER NOT NULL, cache_miss INTEGER NOT NULL, cache_stale INTEGER NOT NULL,
  cache_bypass INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
  us_sum INTEGER NOT NULL, us_count INTEGER NOT NULL, us_min INTEGER, us_max INTEGER,
  partial INTEGER NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL,
  PRIMARY KEY (hour, path_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX hourly_path ON hourly(path_id, hour);

CREATE TABLE totals(
  hour INTEGER PRIMARY KEY, hour_bucket TEXT NOT NULL UNIQUE,
  requests INTEGER NOT NULL, errors INTEGER NOT NULL,
  status_1xx INTEGER NOT NULL, status_2xx INTEGER NOT NULL, status_3xx INTEGER NOT NULL,
  status_4xx INTEGER NOT NULL, status_5xx INTEGER NOT NULL,
  method_get INTEGER NOT NULL, method_head INTEGER NOT NULL, method_post INTEGER NOT NULL,
  method_put INTEGER NOT NULL, method_patch INTEGER NOT NULL, method_delete INTEGER NOT NULL,
  method_options INTEGER NOT NULL, method_other INTEGER NOT NULL,
  cache_hit INTEGER NOT NULL, cache_miss INTEGER NOT NULL, cache_stale INTEGER NOT NULL,
  cache_bypass INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
  us_sum INTEGER NOT NULL, us_count INTEGER NOT NULL, us_min INTEGER, us_max INTEGER,
  partial INTEGER NOT NULL, created_ms INTEGER NOT NULL, updated_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE positions(
  node INTEGER NOT NULL, epoch INTEGER NOT NULL, loop INTEGER NOT NULL,
  sequence INTEGER NOT NULL, inserted INTEGER NOT NULL, sampled_out INTEGER NOT NULL,
  totals_only INTEGER NOT NULL, dead INTEGER NOT NULL, lost INTEGER NOT NULL,
  PRIMARY KEY (node, epoch, loop)
) STRICT, WITHOUT ROWID;
CREATE TABLE degraded_generations(
  node INTEGER NOT NULL, epoch INTEGER NOT NULL, loop INTEGER NOT NULL,
  generation INTEGER NOT NULL, requests INTEGER NOT NULL,
  PRIMARY KEY (node, epoch, loop)
) STRICT, WITHOUT ROWID;
CREATE TABLE dead_letters(
  letter_id INTEGER PRIMARY KEY AUTOINCREMENT,
  node INTEGER NOT NULL, epoch INTEGER NOT NULL, loop INTEGER NOT NULL, sequence INTEGER NOT NULL,
  reason TEXT NOT NULL, payload BLOB NOT NULL, created_ms INTEGER NOT NULL,
  UNIQUE (node, epoch, loop, sequence)
) STRICT;
CREATE TABLE day_ledger(
  day INTEGER PRIMARY KEY, inserted INTEGER NOT NULL, sampled_out INTEGER NOT NULL,
  totals_only INTEGER NOT NULL, dead INTEGER NOT NULL, lost INTEGER NOT NULL,
  degraded INTEGER NOT NULL
) STRICT;
CREATE TABLE consumer_heartbeat(
  consumer_id TEXT PRIMARY KEY, last_heartbeat INTEGER NOT NULL, last_batch_size INTEGER,
  last_batch_duration_ms INTEGER, total_processed INTEGER NOT NULL DEFAULT 0,
  total_errors INTEGER NOT NULL DEFAULT 0, status TEXT NOT NULL DEFAULT 'active',
  updated_at INTEGER DEFAULT (unixepoch())
) STRICT;
)sql",
    R"sql(
CREATE VIEW traffic_events AS SELECT
  CASE typeof(e.id) WHEN 'text' THEN e.id
    ELSE printf('%013d-%s', e.ts_ms, lower(hex(e.id))) END AS id,
  (SELECT p.path FROM paths p WHERE p.path_id = e.path_id) AS path,
  CASE typeof(e.method) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.method) ELSE e.method END AS method,
  e.status AS status,
  e.us / 1000.0 AS response_time,
  printf('%016x', e.client) AS client_ip_hash,
  CASE typeof(e.ua) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.ua) ELSE e.ua END AS user_agent,
  CASE typeof(e.country) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.country) ELSE e.country END AS country,
  e.ts_ms AS timestamp,
  date(e.ts_ms / 1000, 'unixepoch') AS event_date,
  e.status >= 400 AS is_error,
  e.ts_ms / 1000 + e.lag_s AS created_at,
  CASE typeof(e.ip) WHEN 'integer'
    THEN printf('%d.%d.%d.%d', e.ip >> 24 & 255, e.ip >> 16 & 255, e.ip >> 8 & 255, e.ip & 255)
    ELSE e.ip END AS ip_address,
  CASE typeof(e.colo) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.colo) ELSE e.colo END AS edge_colo,
  CASE e.geo WHEN 1 THEN 'allowed' WHEN 2 THEN 'blocked' WHEN 3 THEN 'throttled' END AS geo_action,
  CASE typeof(e.city) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.city) ELSE e.city END AS city
FROM events e;

CREATE VIEW path_stats_hourly AS SELECT
  p.path AS path,
  t.hour_bucket AS hour_bucket,
  h.requests AS requests,
  h.errors AS errors,
  h.us_sum / 1000.0 AS sum_response_time,
  h.us_count AS count_response_time,
  NULL AS response_samples,
  NULL AS ip_hashes,
  0 AS unique_ips_seen,
  h.created_ms AS created_at,
  h.updated_ms AS updated_at
FROM hourly h JOIN paths p ON p.path_id = h.path_id JOIN totals t ON t.hour = h.hour;

CREATE VIEW archive_metadata AS SELECT
  '' AS date, '' AS r2_path, 0 AS record_count, 0 AS file_size_bytes, '' AS status,
  NULL AS error_message, 0 AS archived_at, NULL AS completed_at, 0 AS d1_cleaned
WHERE 0;

CREATE VIEW exchanges AS SELECT
  e.seq AS seq,
  CASE typeof(e.id) WHEN 'text' THEN e.id
    ELSE printf('%013d-%s', e.ts_ms, lower(hex(e.id))) END AS id,
  strftime('%Y-%m-%dT%H:%M:%S', e.ts_ms / 1000, 'unixepoch') || printf('.%03dZ', e.ts_ms % 1000)
    AS time,
  e.ts_ms AS time_ms,
  e.epoch AS epoch, e.loop AS loop, e.sequence AS sequence,
  (SELECT p.path FROM paths p WHERE p.path_id = e.path_id) AS path,
  ifnull(e.raw_path, (SELECT p.path FROM paths p WHERE p.path_id = e.path_id)) AS raw_path,
  CASE typeof(e.method) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.method) ELSE e.method END AS method,
  e.status AS status,
  e.us / 1000.0 AS duration_ms,
  e.upstream_us / 1000.0 AS upstream_ms,
  e.bytes_in AS bytes_in,
  e.bytes_out AS bytes_out,
  CASE typeof(e.route) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.route) ELSE e.route END AS route,
  CASE e.outcome WHEN 0 THEN 'complete' WHEN 1 THEN 'client_abort' WHEN 2 THEN 'upstream_abort'
    WHEN 3 THEN 'timeout' WHEN 4 THEN 'refused' WHEN 5 THEN 'open_ended' END AS outcome,
  CASE e.cache WHEN 1 THEN 'hit' WHEN 2 THEN 'miss' WHEN 3 THEN 'stale' WHEN 4 THEN 'bypass' END
    AS cache_status,
  e.attempts AS attempts,
  e.flags AS flags,
  CASE typeof(e.ip) WHEN 'integer'
    THEN printf('%d.%d.%d.%d', e.ip >> 24 & 255, e.ip >> 16 & 255, e.ip >> 8 & 255, e.ip & 255)
    ELSE e.ip END AS client_ip,
  printf('%016x', e.client) AS client_hash,
  CASE typeof(e.ua) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.ua) ELSE e.ua END AS user_agent,
  CASE typeof(e.country) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.country) ELSE e.country END AS country,
  CASE typeof(e.city) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.city) ELSE e.city END AS city,
  CASE typeof(e.colo) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.colo) ELSE e.colo END AS colo,
  CASE e.geo WHEN 1 THEN 'allowed' WHEN 2 THEN 'blocked' WHEN 3 THEN 'throttled' END AS geo_action
FROM events e;

ANALYZE;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 VALUES
  ('hourly', 'hourly', '1000000 2000 1'),
  ('hourly', 'hourly_path', '1000000 50 1'),
  ('paths', 'sqlite_autoindex_paths_1', '100000 1'),
  ('totals', 'sqlite_autoindex_totals_1', '1000 1'),
  ('words', 'sqlite_autoindex_words_1', '10000 2000 1'),
  ('events', NULL, '10000000');
ANALYZE sqlite_schema;
)sql",
    R"sql(
CREATE TABLE derived(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO derived VALUES('folded', 0);

CREATE TABLE slim_events(
  seq INTEGER PRIMARY KEY, ts_ms INTEGER NOT NULL, path_id INTEGER NOT NULL,
  status INTEGER NOT NULL, us INTEGER NOT NULL, client INTEGER NOT NULL, ip ANY,
  geo INTEGER NOT NULL, bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL
) STRICT;

CREATE TABLE sketches(
  hour INTEGER NOT NULL, path_id INTEGER NOT NULL, through INTEGER NOT NULL,
  unique_clients INTEGER NOT NULL, p50_us INTEGER NOT NULL, p95_us INTEGER NOT NULL,
  p99_us INTEGER NOT NULL, latency BLOB NOT NULL, clients BLOB NOT NULL,
  UNIQUE (hour, path_id)
) STRICT;

CREATE TABLE client_daily(
  day INTEGER NOT NULL, client INTEGER NOT NULL, through INTEGER NOT NULL,
  requests INTEGER NOT NULL, errors INTEGER NOT NULL,
  blocked INTEGER NOT NULL, throttled INTEGER NOT NULL,
  bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL,
  first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, ip ANY,
  PRIMARY KEY (day, client)
) STRICT, WITHOUT ROWID;

DROP VIEW path_stats_hourly;
CREATE VIEW path_stats_hourly AS SELECT
  p.path AS path,
  t.hour_bucket AS hour_bucket,
  h.requests AS requests,
  h.errors AS errors,
  h.us_sum / 1000.0 AS sum_response_time,
  h.us_count AS count_response_time,
  NULL AS response_samples,
  NULL AS ip_hashes,
  ifnull((SELECT s.unique_clients FROM sketches s WHERE s.hour = h.hour AND s.path_id = h.path_id),
    0) AS unique_ips_seen,
  h.created_ms AS created_at,
  h.updated_ms AS updated_at
FROM hourly h JOIN paths p ON p.path_id = h.path_id JOIN totals t ON t.hour = h.hour;

INSERT INTO sqlite_stat1 VALUES
  ('sketches', 'sqlite_autoindex_sketches_1', '1000000 2000 1'),
  ('client_daily', 'client_daily', '1000000 20000 1');
ANALYZE sqlite_schema;
)sql",
    R"sql(
CREATE TABLE event_zones(
  zone INTEGER PRIMARY KEY, ts_min INTEGER NOT NULL, ts_max INTEGER NOT NULL
) STRICT;
INSERT INTO event_zones SELECT seq / 8192, min(ts_ms), max(ts_ms) FROM events GROUP BY 1;

ALTER TABLE day_ledger ADD COLUMN digest_rows INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day_ledger ADD COLUMN digest_high INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day_ledger ADD COLUMN digest_low INTEGER NOT NULL DEFAULT 0;
ALTER TABLE day_ledger ADD COLUMN ingested_day INTEGER NOT NULL DEFAULT 0;

CREATE TABLE archive_parts(
  day INTEGER NOT NULL, part INTEGER NOT NULL, key TEXT NOT NULL,
  after_seq INTEGER NOT NULL, through_seq INTEGER NOT NULL, rows INTEGER NOT NULL,
  digest_known INTEGER NOT NULL, digest_high INTEGER NOT NULL, digest_low INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'completed', 'failed')),
  error TEXT, raw_bytes INTEGER NOT NULL DEFAULT 0, object_bytes INTEGER NOT NULL DEFAULT 0,
  raw_sha256 BLOB, cleaned_through INTEGER NOT NULL, cleaned_rows INTEGER NOT NULL DEFAULT 0,
  begun_ms INTEGER NOT NULL, completed_ms INTEGER,
  PRIMARY KEY (day, part)
) STRICT, WITHOUT ROWID;

DROP VIEW archive_metadata;
CREATE VIEW archive_metadata AS SELECT
  date(day * 86400, 'unixepoch') AS date,
  (SELECT f.key FROM archive_parts f WHERE f.day = p.day AND f.part = 1) AS r2_path,
  sum(rows) AS record_count,
  sum(object_bytes) AS file_size_bytes,
  CASE WHEN sum(state = 'failed') > 0 THEN 'failed' WHEN sum(state = 'pending') > 0 THEN 'pending'
    ELSE 'completed' END AS status,
  max(error) AS error_message,
  max(begun_ms) AS archived_at,
  CASE WHEN count(*) = count(completed_ms) THEN max(completed_ms) END AS completed_at,
  min(state = 'completed' AND cleaned_through = through_seq) AS d1_cleaned
FROM archive_parts p GROUP BY day;
)sql",
    R"sql(
DROP VIEW traffic_events;
CREATE VIEW traffic_events AS SELECT
  CASE typeof(e.id) WHEN 'text' THEN e.id
    ELSE printf('%013d-%s', e.ts_ms, lower(hex(e.id))) END AS id,
  ifnull(e.raw_path, (SELECT p.path FROM paths p WHERE p.path_id = e.path_id)) AS path,
  CASE typeof(e.method) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.method) ELSE e.method END AS method,
  e.status AS status,
  e.us / 1000.0 AS response_time,
  printf('%016x', e.client) AS client_ip_hash,
  CASE typeof(e.ua) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.ua) ELSE e.ua END AS user_agent,
  CASE typeof(e.country) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.country) ELSE e.country END AS country,
  e.ts_ms AS timestamp,
  date(e.ts_ms / 1000, 'unixepoch') AS event_date,
  e.status >= 400 AS is_error,
  e.ts_ms / 1000 + e.lag_s AS created_at,
  CASE typeof(e.ip) WHEN 'integer'
    THEN printf('%d.%d.%d.%d', e.ip >> 24 & 255, e.ip >> 16 & 255, e.ip >> 8 & 255, e.ip & 255)
    ELSE e.ip END AS ip_address,
  CASE typeof(e.colo) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.colo) ELSE e.colo END AS edge_colo,
  CASE e.geo WHEN 1 THEN 'allowed' WHEN 2 THEN 'blocked' WHEN 3 THEN 'throttled' END AS geo_action,
  CASE typeof(e.city) WHEN 'integer'
    THEN (SELECT w.word FROM words w WHERE w.word_id = e.city) ELSE e.city END AS city
FROM events e;
)sql",
    R"sql(
CREATE TABLE dates(day INTEGER PRIMARY KEY, date TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO dates SELECT day, date(day * 86400, 'unixepoch') FROM day_ledger;
CREATE TRIGGER dated AFTER INSERT ON day_ledger BEGIN
  INSERT OR IGNORE INTO dates VALUES(new.day, date(new.day * 86400, 'unixepoch'));
END;

CREATE TABLE listed_days(day INTEGER PRIMARY KEY, events INTEGER NOT NULL) STRICT;
CREATE TABLE client_lists(
  day INTEGER NOT NULL, client INTEGER NOT NULL, unique_paths INTEGER NOT NULL,
  top_paths TEXT NOT NULL, countries TEXT NOT NULL, user_agents TEXT NOT NULL, city TEXT,
  PRIMARY KEY (day, client)
) STRICT, WITHOUT ROWID;
CREATE TABLE client_paths(
  day INTEGER NOT NULL, client INTEGER NOT NULL, path_id INTEGER NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY (day, client, path_id)
) STRICT, WITHOUT ROWID;

CREATE VIEW ip_path_daily AS SELECT
  d.date AS date, printf('%016x', l.client) AS ip_hash, p.path AS path,
  l.requests AS request_count
FROM client_paths l JOIN dates d ON d.day = l.day JOIN paths p ON p.path_id = l.path_id
UNION ALL SELECT
  d.date, printf('%016x', c.client), '__other__',
  c.requests - ifnull((SELECT sum(l.requests) FROM client_paths l
    WHERE l.day = c.day AND l.client = c.client), 0)
FROM client_daily c JOIN dates d ON d.day = c.day
WHERE c.requests > ifnull((SELECT sum(l.requests) FROM client_paths l
  WHERE l.day = c.day AND l.client = c.client), 0);

CREATE VIEW ip_traffic_daily AS SELECT
  d.date AS date, printf('%016x', c.client) AS ip_hash,
  c.requests AS total_requests, c.errors AS total_errors,
  ifnull(l.unique_paths, 0) AS unique_paths,
  l.top_paths AS top_paths, l.countries AS countries, l.user_agents AS user_agents,
  c.first_ms AS first_seen, c.last_ms AS last_seen,
  c.first_ms / 1000 AS created_at, c.last_ms / 1000 AS updated_at,
  CASE typeof(c.ip) WHEN 'integer'
    THEN printf('%d.%d.%d.%d', c.ip >> 24 & 255, c.ip >> 16 & 255, c.ip >> 8 & 255, c.ip & 255)
    ELSE c.ip END AS ip_address,
  c.blocked AS blocked_requests, c.throttled AS throttled_requests,
  l.city AS last_seen_city
FROM client_daily c JOIN dates d ON d.day = c.day
LEFT JOIN client_lists l ON l.day = c.day AND l.client = c.client;

INSERT INTO sqlite_stat1 VALUES
  ('dates', 'sqlite_autoindex_dates_1', '400 1'),
  ('client_paths', 'client_paths', '1000000 100000 10 1'),
  ('client_lists', 'client_lists', '100000 10000 1');
ANALYZE sqlite_schema;
)sql",
    // Version 7.
    R"sql(
CREATE TABLE adjustments(
  day INTEGER NOT NULL, part INTEGER NOT NULL, hour INTEGER NOT NULL, path_id INTEGER NOT NULL,
  route ANY, first_seq INTEGER NOT NULL, partial INTEGER NOT NULL,
  requests INTEGER NOT NULL, errors INTEGER NOT NULL, status_1xx INTEGER NOT NULL, status_2xx
  INTEGER NOT NULL, status_3xx INTEGER NOT NULL, status_4xx INTEGER NOT NULL, status_5xx INTEGER
  NOT NULL, method_get INTEGER NOT NULL, method_head INTEGER NOT NULL, method_post INTEGER NOT
  NULL, method_put INTEGER NOT NULL, method_patch INTEGER NOT NULL, method_delete INTEGER NOT
  NULL, method_options INTEGER NOT NULL, method_other INTEGER NOT NULL, cache_hit INTEGER NOT
  NULL, cache_miss INTEGER NOT NULL, cache_stale INTEGER NOT NULL, cache_bypass INTEGER NOT NULL,
  bytes_in INTEGER NOT NULL, bytes_out INTEGER NOT NULL, us_sum INTEGER NOT NULL, us_count
  INTEGER NOT NULL, us_min INTEGER, us_max INTEGER,
  PRIMARY KEY (day, part, hour, path_id)
) STRICT, WITHOUT ROWID;
ALTER TABLE day_ledger ADD COLUMN adjust_part INTEGER NOT NULL DEFAULT 1;
ALTER TABLE day_ledger ADD COLUMN unadjusted INTEGER NOT NULL DEFAULT 0;
UPDATE day_ledger SET unadjusted = sampled_out + totals_only + degraded;

CREATE TABLE adjust_parts(
  day INTEGER NOT NULL, part INTEGER NOT NULL, key TEXT NOT NULL,
  through_seq INTEGER NOT NULL, requests INTEGER NOT NULL,
  state TEXT NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'completed', 'failed')),
  error TEXT, rows INTEGER NOT NULL DEFAULT 0, raw_bytes INTEGER NOT NULL DEFAULT 0,
  object_bytes INTEGER NOT NULL DEFAULT 0, raw_sha256 BLOB,
  cleaned INTEGER NOT NULL DEFAULT 0, cleaned_requests INTEGER NOT NULL DEFAULT 0,
  begun_ms INTEGER NOT NULL, completed_ms INTEGER,
  PRIMARY KEY (day, part)
) STRICT, WITHOUT ROWID;

CREATE TABLE obsolete_objects(key TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;

DROP VIEW archive_metadata;
CREATE VIEW archive_metadata AS SELECT
  date(day * 86400, 'unixepoch') AS date,
  (SELECT f.key FROM archive_parts f WHERE f.day = p.day ORDER BY f.part LIMIT 1) AS r2_path,
  sum(rows) AS record_count,
  sum(object_bytes) AS file_size_bytes,
  CASE WHEN sum(state = 'failed') > 0 THEN 'failed' WHEN sum(state = 'pending') > 0 THEN 'pending'
    ELSE 'completed' END AS status,
  max(error) AS error_message,
  max(begun_ms) AS archived_at,
  CASE WHEN count(*) = count(completed_ms) THEN max(completed_ms) END AS completed_at,
  min(state = 'completed' AND cleaned_through = through_seq) AS d1_cleaned
FROM archive_parts p GROUP BY day;

CREATE TABLE daily_sketches(
  day INTEGER NOT NULL, path_id INTEGER NOT NULL, through INTEGER NOT NULL,
  unique_clients INTEGER NOT NULL, p50_us INTEGER NOT NULL, p95_us INTEGER NOT NULL,
  p99_us INTEGER NOT NULL, latency BLOB NOT NULL, clients BLOB NOT NULL,
  UNIQUE (day, path_id)
) STRICT;
)sql",
};

}  // namespace

std::span<const std::string_view> migrations() {
  return kMigrations;
}

}  // namespace weir::stats::internal
