#include "pipeline/audit.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

namespace weir::pipeline {
namespace {

struct Identity {
  std::string_view sentence;
  const char* left;
  const char* right;
  // Where it gives 0, the two sides cannot be compared now; null: always.
  const char* ready = nullptr;
  std::string_view not_ready = {};
};

// All that is committed is in what is derived, too.
constexpr const char* kDerived =
    "SELECT (SELECT seq FROM derived WHERE name = 'folded')"
    " = (SELECT value - 1 FROM meta WHERE name = 'next_seq')";
constexpr std::string_view kNotDerived = "events are still being folded; ask again";

// Stand for `{counts}` and the two bounds below in the identities. The counts of a row of `hourly`
// or `totals` are one number here that changes with each of them: the factors are odd, and no small
// multiples of each other.
constexpr const char* kCounts =
    "ifnull(sum(requests) * 3 + sum(errors) * 5 + sum(status_1xx) * 7 + sum(status_2xx) * 11"
    " + sum(status_3xx) * 13 + sum(status_4xx) * 17 + sum(status_5xx) * 19 + sum(method_get) * 23"
    " + sum(method_head) * 29 + sum(method_post) * 31 + sum(method_put) * 37"
    " + sum(method_patch) * 41 + sum(method_delete) * 43 + sum(method_options) * 47"
    " + sum(method_other) * 53 + sum(cache_hit) * 59 + sum(cache_miss) * 61"
    " + sum(cache_stale) * 67 + sum(cache_bypass) * 71 + sum(us_count) * 73, 0)";
// The first day that still has hourly rows, and rows of clients.
constexpr const char* kHourlyFrom =
    "ifnull((SELECT value FROM meta WHERE name = 'hourly_from_day'), 0)";
constexpr const char* kClientsFrom =
    "ifnull((SELECT value FROM meta WHERE name = 'clients_from_day'), 0)";

constexpr std::array kIdentities{
    Identity{"every position is accounted for", "SELECT count(*) FROM positions",
             "SELECT count(*) FROM positions"
             " WHERE sequence = inserted + sampled_out + totals_only + dead + lost"},
    Identity{"every inserted event has a row, live or archived and cleaned",
             "SELECT ifnull(sum(inserted), 0) FROM positions",
             "SELECT (SELECT count(*) FROM events)"
             " + (SELECT ifnull(sum(cleaned_rows), 0) FROM archive_parts)"},
    Identity{"no position has two rows", "SELECT count(*) FROM events",
             "SELECT count(*) FROM (SELECT DISTINCT epoch, loop, sequence FROM events)"},
    Identity{"no row is beyond its position", "SELECT 0",
             "SELECT count(*) FROM (SELECT epoch, loop, max(sequence) AS last FROM events"
             " GROUP BY epoch, loop) e LEFT JOIN positions p ON p.node = 0 AND p.epoch = e.epoch"
             " AND p.loop = e.loop WHERE p.sequence IS NULL OR p.sequence < e.last"},
    Identity{"no id has two rows", "SELECT count(*) FROM events",
             "SELECT count(*) FROM (SELECT DISTINCT ts_ms, id FROM events)"},
    Identity{"every dead letter is kept, or was purged",
             "SELECT ifnull(sum(dead), 0) FROM positions",
             "SELECT (SELECT count(*) FROM dead_letters)"
             " + ifnull((SELECT value FROM meta WHERE name = 'purged_letters'), 0)"},
    Identity{"every counted event has its number",
             "SELECT ifnull(sum(inserted + sampled_out + totals_only), 0) FROM positions",
             "SELECT value - 1 FROM meta WHERE name = 'next_seq'"},
    Identity{"the ledger of days has what the positions have",
             "SELECT ifnull(sum(inserted * 3 + sampled_out * 5 + totals_only * 7 + dead * 11"
             " + lost * 13), 0) FROM positions",
             "SELECT ifnull(sum(inserted * 3 + sampled_out * 5 + totals_only * 7 + dead * 11"
             " + lost * 13), 0) FROM day_ledger"},
    Identity{"the ledger of days has what was counted without detail",
             "SELECT ifnull(sum(requests), 0) FROM degraded_generations",
             "SELECT ifnull(sum(degraded), 0) FROM day_ledger"},
    Identity{
        "the hours of every day add up to its ledger",
        "SELECT ifnull(sum(inserted + sampled_out + totals_only + degraded), 0) FROM day_ledger"
        " WHERE day >= {hourly_from}",
        "SELECT ifnull(sum(requests), 0) FROM hourly"
        " WHERE hour >= 24 * {hourly_from}"},
    Identity{"no day differs from its ledger", "SELECT 0",
             "SELECT count(*) FROM day_ledger l"
             " WHERE day >= {hourly_from}"
             " AND inserted + sampled_out + totals_only + degraded <> (SELECT"
             " ifnull(sum(t.requests), 0) FROM totals t"
             " WHERE t.hour BETWEEN 24 * l.day AND 24 * l.day + 23)"},
    Identity{"the totals are the sums of the paths",
             "SELECT {counts} FROM hourly WHERE hour >= 24 * {hourly_from}",
             "SELECT {counts} FROM totals WHERE hour >= 24 * {hourly_from}"},
    Identity{"every count without detail is kept apart, live or archived",
             "SELECT ifnull(sum(sampled_out + totals_only + degraded - unadjusted), 0)"
             " FROM day_ledger",
             "SELECT (SELECT ifnull(sum(requests), 0) FROM adjustments)"
             " + (SELECT ifnull(sum(cleaned_requests), 0) FROM adjust_parts)"},
    Identity{"no total differs from its paths",
             "SELECT count(*) FROM totals WHERE hour >= 24 * {hourly_from}",
             "SELECT count(*) FROM totals t JOIN (SELECT hour, sum(requests) AS requests,"
             " sum(errors) AS errors, sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out,"
             " sum(us_sum) AS us_sum, min(us_min) AS us_min, max(us_max) AS us_max FROM hourly"
             " WHERE hour >= 24 * {hourly_from} GROUP BY hour) s ON s.hour = t.hour"
             " AND s.requests = t.requests AND s.errors = t.errors AND s.bytes_in = t.bytes_in AND "
             "s.bytes_out = t.bytes_out"
             " AND s.us_sum = t.us_sum AND s.us_min IS t.us_min AND s.us_max IS t.us_max"},
    Identity{"no path and hour has more rows than requests", "SELECT 0",
             "SELECT count(*) FROM (SELECT path_id, ts_ms / 3600000 AS hour, count(*) AS rows,"
             " sum(status >= 400) AS errors, sum(us) AS us FROM events GROUP BY 1, 2) e"
             " LEFT JOIN hourly h ON h.hour = e.hour AND h.path_id = e.path_id"
             " WHERE (h.requests IS NULL OR h.requests < e.rows OR h.errors < e.errors"
             " OR h.us_sum < e.us) AND e.hour >= 24 * {hourly_from}"},
    Identity{"the client rows of every day count its events", "SELECT 0",
             "SELECT count(*) FROM day_ledger l"
             " WHERE day >= {clients_from}"
             " AND inserted + sampled_out + totals_only <> (SELECT ifnull(sum(c.requests), 0)"
             " FROM client_daily c WHERE c.day = l.day)",
             kDerived, kNotDerived},
    Identity{"no client's lists say more than its requests", "SELECT 0",
             "SELECT count(*) FROM (SELECT day, client, sum(requests) AS listed FROM client_paths"
             " GROUP BY day, client) l LEFT JOIN client_daily c ON c.day = l.day"
             " AND c.client = l.client WHERE c.requests IS NULL OR c.requests < l.listed",
             kDerived, kNotDerived},
    Identity{"what is folded leaves nothing behind", "SELECT 0", "SELECT count(*) FROM slim_events",
             kDerived, kNotDerived},
    Identity{"nothing is cleaned that is not archived", "SELECT 0",
             "SELECT count(*) FROM archive_parts WHERE cleaned_rows > 0 AND (state <> 'completed'"
             " OR raw_sha256 IS NULL OR cleaned_through > through_seq)"},
    Identity{"the file is sound", "SELECT 1",
             "SELECT quick_check = 'ok' FROM pragma_quick_check LIMIT 1"},
};

base::Result<Finding> check(sqlite::Database& reader, const Identity& identity) {
  Finding finding{.identity = identity.sentence};
  const std::string pattern = fmt::format("SELECT ({}), ({}), ({})", identity.left, identity.right,
                                          identity.ready == nullptr ? "SELECT 1" : identity.ready);
  const std::string sql =
      fmt::format(fmt::runtime(pattern), fmt::arg("counts", kCounts),
                  fmt::arg("hourly_from", kHourlyFrom), fmt::arg("clients_from", kClientsFrom));
  sqlite::Statement query = WEIR_TRY(reader.prepare(sql));
  if (!WEIR_TRY(query.step())) return finding;
  finding.left = query.column_int(0);
  finding.right = query.column_int(1);
  if (query.column_int(2) == 0) {
    finding.verdict = Verdict::skipped;
    finding.note = identity.not_ready;
  } else if (finding.left != finding.right) {
    finding.verdict = Verdict::differs;
  }
  return finding;
}

}  // namespace

size_t AuditReport::count(Verdict verdict) const {
  return static_cast<size_t>(
      std::count_if(findings.begin(), findings.end(),
                    [verdict](const Finding& finding) { return finding.verdict == verdict; }));
}

base::Result<AuditReport> audit(sqlite::Database& reader, const base::Clock& clock,
                                const AuditOptions& options) {
  AuditReport report;
  for (const Identity& identity : kIdentities) {
    if (options.cancel != nullptr && options.cancel->load()) return base::cancelled("audit");
    reader.set_deadline(clock, clock.monotonic() + options.time_max, options.cancel);
    base::Result<Finding> finding = check(reader, identity);
    reader.clear_deadline();
    if (finding.ok()) {
      report.findings.push_back(std::move(finding).value());
      continue;
    }
    if (finding.error().code != base::ErrorCode::cancelled) return finding.error();
    report.findings.push_back(
        {.identity = identity.sentence,
         .verdict = Verdict::skipped,
         .note = fmt::format("takes longer than {} ms", options.time_max.count())});
  }
  return report;
}

}  // namespace weir::pipeline
