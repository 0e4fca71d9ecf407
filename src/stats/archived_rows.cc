#include "stats/archived_rows.h"

#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "stats/internal/rows.h"
#include "stats/retention.h"

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using sqlite::Statement;
using Column = internal::EventColumn;

constexpr uint64_t kRowsPerTransaction = 4096;
constexpr int kCacheKib = 16 * 1024;  // Of the temporary table.

constexpr Error kForeignRow{ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                            "archived row that is none of its part"};
constexpr Error kPathsDropped{ErrorCode::conflict, base::Origin::storage, base::Retry::immediately,
                              0, "paths that were deleted meanwhile"};
constexpr Error kGap{ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                     "gap between the archive parts of a day"};

// Zones tell where the rows of the days are, in the place of an index over time.
constexpr std::string_view kEvents = R"sql(
CREATE TEMP VIEW events AS SELECT * FROM temp.archived_events
UNION ALL SELECT * FROM main.events AS e
WHERE e.ts_ms >= {0} AND e.ts_ms < {1}
  AND e.seq >= (SELECT min(zone) * {2} FROM main.event_zones WHERE ts_max >= {0} AND ts_min < {1})
  AND e.seq < (SELECT (max(zone) + 1) * {2} FROM main.event_zones
    WHERE ts_max >= {0} AND ts_min < {1})
  AND e.seq > ifnull((SELECT h.through FROM temp.held_days h
    WHERE h.day = e.ts_ms / 86400000 - (e.ts_ms % 86400000 < 0)), 0)
)sql";

std::string insert_sql() {
  std::string sql = "INSERT INTO temp.archived_events VALUES(?1";
  for (int i = Column::seq + 1; i <= Column::bytes_out; ++i)
    sql += fmt::format(", ?{}", i);
  return sql + ")";
}

}  // namespace

ArchivedRows::~ArchivedRows() {
  rollback();
  end_reading();
  static_cast<void>(reader_.execute("PRAGMA query_only = ON"));
}

// What CREATE says of a table or view of the database, from its first `from` on.
base::Result<std::string> ArchivedRows::stored_sql(std::string_view name, std::string_view from) {
  Statement query = WEIR_TRY(reader_.prepare("SELECT sql FROM main.sqlite_schema WHERE name = ?1"));
  query.bind_text(1, name);
  const bool found = WEIR_TRY(query.step());
  const std::string_view sql = found ? query.column_text(0) : std::string_view{};
  const size_t begin = sql.find(from);
  if (begin == std::string_view::npos) {
    return Error{ErrorCode::conflict, base::Origin::storage, base::Retry::with_backoff, 0,
                 "schema without a known table or view"};
  }
  return std::string{sql.substr(begin)};
}

base::Status ArchivedRows::prepare() {
  const std::string columns = WEIR_TRY(stored_sql("events", "("));
  const std::string traffic_events = WEIR_TRY(stored_sql("traffic_events", " AS "));
  const std::string exchanges = WEIR_TRY(stored_sql("exchanges", " AS "));
  // query_only is also for temporary tables; it is off while rows are added.
  WEIR_TRY(reader_.execute(
      fmt::format("PRAGMA query_only = OFF; PRAGMA temp.cache_size = -{};"
                  "CREATE TEMP TABLE archived_events{};"
                  "CREATE TEMP TABLE held_days(day INTEGER PRIMARY KEY, through INTEGER NOT NULL)"
                  " STRICT;"
                  "CREATE TEMP TABLE archived_paths(path_id INTEGER PRIMARY KEY, path TEXT NOT NULL"
                  " UNIQUE) STRICT;"
                  "CREATE TEMP VIEW paths AS SELECT * FROM main.paths UNION ALL"
                  " SELECT * FROM temp.archived_paths;",
                  kCacheKib, columns)));
  WEIR_TRY(reader_.execute(
      fmt::format(fmt::runtime(kEvents), days_.begin_ms(), days_.end_ms(), kZoneSeqs)));
  WEIR_TRY(reader_.execute("CREATE TEMP VIEW traffic_events" + traffic_events));
  WEIR_TRY(reader_.execute("CREATE TEMP VIEW exchanges" + exchanges));
  insert_.emplace(WEIR_TRY(reader_.prepare(insert_sql())));
  find_path_.emplace(WEIR_TRY(
      reader_.prepare("SELECT path_id FROM main.paths WHERE path = ?1 UNION ALL"
                      " SELECT path_id FROM temp.archived_paths WHERE path = ?1 LIMIT 1")));
  add_path_.emplace(WEIR_TRY(
      reader_.prepare("INSERT INTO temp.archived_paths SELECT ifnull(min(path_id), 0) - 1, ?1 FROM"
                      " temp.archived_paths RETURNING path_id")));
  paths_dropped_ = WEIR_TRY(paths_dropped(reader_));
  find_word_.emplace(
      WEIR_TRY(reader_.prepare("SELECT word_id FROM main.words WHERE kind = ?1 AND word = ?2")));
  return {};
}

uint64_t ArchivedRows::held_through(int64_t day) const {
  const auto found = held_.find(day);
  return found == held_.end() ? 0 : found->second;
}

base::Result<std::vector<ArchivePart>> ArchivedRows::begin_reading() {
  WEIR_TRY(reader_.execute("BEGIN; PRAGMA query_only = ON"));
  reading_ = true;
  if (WEIR_TRY(paths_dropped(reader_)) != paths_dropped_) return kPathsDropped;
  std::vector<ArchivePart> missing;
  const ArchivePart* before = nullptr;
  const std::vector<ArchivePart> parts = WEIR_TRY(completed_parts(reader_, days_));
  for (const ArchivePart& part : parts) {
    const bool same_day = before != nullptr && before->day == part.day;
    if (part.after != (same_day ? before->through : 0)) return kGap;
    if (part.through > held_through(part.day)) missing.push_back(part);
    before = &part;
  }
  return missing;
}

void ArchivedRows::end_reading() {
  if (!std::exchange(reading_, false)) return;
  // An error may have ended the transaction by itself.
  static_cast<void>(reader_.execute("ROLLBACK"));
  static_cast<void>(reader_.execute("PRAGMA query_only = OFF"));
}

base::Status ArchivedRows::add(const ArchivePart& part, const StoredEvent& event) {
  const bool of_part = event.seq > part.after && event.seq <= part.through &&
                       codec::unix_day_of_ms(event.ts_ms) == part.day;
  if (!of_part) return kForeignRow;
  if (event.seq <= held_through(part.day)) return {};
  if (uncommitted_ == 0) WEIR_TRY(reader_.execute("BEGIN"));
  ++uncommitted_;
  WEIR_TRY(insert(event));
  return uncommitted_ == kRowsPerTransaction ? commit() : base::Status{};
}

base::Status ArchivedRows::insert(const StoredEvent& event) {
  Statement& row = *insert_;
  std::string id;
  row.clear();
  row.bind_unsigned(Column::seq, event.seq);
  row.bind(Column::epoch, event.epoch);
  row.bind(Column::loop, event.loop);
  row.bind_unsigned(Column::sequence, event.sequence);
  internal::bind_id(row, Column::id, event.id, event.ts_ms, id);
  row.bind(Column::ts_ms, event.ts_ms);
  row.bind(Column::lag_s, event.created_s - event.ts_ms / 1000);
  row.bind(Column::path_id, WEIR_TRY(path_id(event.path)));
  if (!event.raw_path.empty()) row.bind_text(Column::raw_path, event.raw_path);
  row.bind(Column::status, event.status);
  row.bind_unsigned(Column::us, event.us);
  row.bind(Column::client, static_cast<int64_t>(event.client));
  internal::bind_address(row, Column::ip, event.ip);
  row.bind(Column::geo, event.geo);
  row.bind(Column::cache, event.cache);
  row.bind(Column::outcome, event.outcome);
  row.bind(Column::attempts, event.attempts);
  row.bind(Column::flags, event.flags);
  row.bind_unsigned(Column::upstream_us, event.upstream_us);
  row.bind_unsigned(Column::bytes_in, event.bytes_in);
  row.bind_unsigned(Column::bytes_out, event.bytes_out);
  WEIR_TRY(bind_word(Column::method, SqliteStats::kMethodWord, event.method));
  WEIR_TRY(bind_word(Column::ua, SqliteStats::kUserAgentWord, event.user_agent));
  WEIR_TRY(bind_word(Column::route, SqliteStats::kRouteWord, event.route));
  WEIR_TRY(bind_word(Column::country, SqliteStats::kCountryWord, event.country));
  WEIR_TRY(bind_word(Column::city, SqliteStats::kCityWord, event.city));
  WEIR_TRY(bind_word(Column::colo, SqliteStats::kColoWord, event.colo));
  return row.run();
}

// Of a path that retention has dropped: a number below those of the database.
base::Result<int64_t> ArchivedRows::path_id(std::string_view path) {
  const auto known = paths_.find(path);
  if (known != paths_.end()) return known->second;
  int64_t id = 0;
  for (Statement* const statement : {&*find_path_, &*add_path_}) {
    statement->clear();
    statement->bind_text(1, path);
    const bool found = WEIR_TRY(statement->step());
    if (found) id = statement->column_int(0);
    statement->reset();
    if (found) break;
  }
  if (paths_.size() >= kCachedPathsMax) paths_.clear();
  paths_.emplace(path, id);
  return id;
}

// NULL, the number, or, as the dictionary is full, the text itself.
base::Status ArchivedRows::bind_word(int parameter, size_t kind, std::string_view word) {
  if (word.empty()) return {};
  const auto known = words_[kind].find(word);
  if (known != words_[kind].end()) {
    insert_->bind(parameter, known->second);
    return {};
  }
  find_word_->clear();
  find_word_->bind(1, static_cast<int64_t>(kind));
  find_word_->bind_text(2, word);
  if (WEIR_TRY(find_word_->step())) {
    const int64_t id = find_word_->column_int(0);
    words_[kind].emplace(word, id);
    insert_->bind(parameter, id);
  } else {
    insert_->bind_text(parameter, word);
  }
  find_word_->reset();
  return {};
}

base::Status ArchivedRows::finish(const ArchivePart& part) {
  WEIR_TRY(commit());
  Statement hold =
      WEIR_TRY(reader_.prepare("INSERT INTO temp.held_days VALUES(?1, ?2)"
                               " ON CONFLICT DO UPDATE SET through = ?2"));
  hold.bind(1, part.day);
  hold.bind_unsigned(2, part.through);
  WEIR_TRY(hold.run());
  held_[part.day] = part.through;
  return {};
}

base::Status ArchivedRows::drop(const ArchivePart& part) {
  rollback();
  Statement remove = WEIR_TRY(reader_.prepare(
      "DELETE FROM temp.archived_events WHERE seq > ?1 AND seq <= ?2 AND ts_ms >= ?3"
      " AND ts_ms < ?4"));
  const Days day{part.day, part.day};
  remove.bind_unsigned(1, held_through(part.day));
  remove.bind_unsigned(2, part.through);
  remove.bind(3, day.begin_ms());
  remove.bind(4, day.end_ms());
  return remove.run();
}

base::Status ArchivedRows::commit() {
  if (uncommitted_ == 0) return {};
  uncommitted_ = 0;
  return reader_.execute("COMMIT");
}

void ArchivedRows::rollback() {
  if (uncommitted_ == 0) return;
  uncommitted_ = 0;
  insert_->reset();
  find_path_->reset();
  add_path_->reset();
  find_word_->reset();
  paths_.clear();  // Some may be gone from temp.archived_paths.
  // Many errors roll back by themselves; then there is nothing to do.
  static_cast<void>(reader_.execute("ROLLBACK"));
}

}  // namespace weir::stats
