// What a commit counts without a detail row, kept apart for the archive. Beside
// sqlite_stats_commit.cc to keep both short.

#include "codec/iso_time.h"
#include "stats/internal/rows.h"
#include "stats/sqlite_stats.h"

namespace weir::stats {
namespace {

// Parameters 1 to 25 are the counts.
constexpr base::StaticText kAdd{
    "INSERT INTO adjustments VALUES(?28, ifnull((SELECT adjust_part FROM day_ledger WHERE day"
    " = ?28), 1), ?29, ?30, ?31, ?27, ?26, ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
    " ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25) ON CONFLICT DO UPDATE"
    " SET requests = requests + ?1, errors = errors + ?2, status_1xx = status_1xx + ?3,"
    " status_2xx = status_2xx + ?4, status_3xx = status_3xx + ?5, status_4xx = status_4xx +"
    " ?6, status_5xx = status_5xx + ?7, method_get = method_get + ?8, method_head ="
    " method_head + ?9, method_post = method_post + ?10, method_put = method_put + ?11,"
    " method_patch = method_patch + ?12, method_delete = method_delete + ?13, method_options ="
    " method_options + ?14, method_other = method_other + ?15, cache_hit = cache_hit + ?16,"
    " cache_miss = cache_miss + ?17, cache_stale = cache_stale + ?18, cache_bypass ="
    " cache_bypass + ?19, bytes_in = bytes_in + ?20, bytes_out = bytes_out + ?21, us_sum ="
    " us_sum + ?22, us_count = us_count + ?23, us_min = min(ifnull(us_min, ?24), ifnull(?24,"
    " us_min)), us_max = max(ifnull(us_max, ?25), ifnull(?25, us_max)), partial = max(partial,"
    " ?26)"};
constexpr int kPartial = 26;
constexpr int kFirstSeq = 27;
constexpr int kDay = 28;
constexpr int kHour = 29;
constexpr int kPath = 30;
constexpr int kRoute = 31;

}  // namespace

// After the ledger of the day has its row: that says which part is being added to.
base::Status SqliteStats::add_adjustments(const Batch& batch) {
  if (batch.adjustments.empty()) return {};
  const uint64_t next = WEIR_TRY(next_seq());
  const int64_t today = codec::unix_day_of_ms(base::unix_ms(batch.now));
  const sqlite::Database::Borrowed upsert = WEIR_TRY(database_.cached(kAdd));
  const sqlite::Database::Borrowed ingested = WEIR_TRY(database_.cached(
      "UPDATE day_ledger SET ingested_day = ?2 WHERE day = ?1 AND ingested_day < ?2"));
  int64_t last_day = -1;
  for (const Batch::HourRow& row : batch.adjustments) {
    const int64_t day = codec::unix_day_of_ms(row.hour * codec::kMsPerHour);
    internal::bind_counts(*upsert, row.counts);
    upsert->bind(kPartial, row.partial ? 1 : 0);
    upsert->bind_unsigned(kFirstSeq, row.first_seq == 0 ? next : row.first_seq);
    upsert->bind(kDay, day);
    upsert->bind(kHour, row.hour);
    upsert->bind(kPath, batch_paths_[row.path]);
    WEIR_TRY(bind_word(*upsert, kRoute, kRouteWord, row.route));
    WEIR_TRY(upsert->run());
    if (day == last_day) continue;
    last_day = day;
    ingested->bind(1, day);
    ingested->bind(2, today);
    WEIR_TRY(ingested->run());
  }
  return {};
}

}  // namespace weir::stats
