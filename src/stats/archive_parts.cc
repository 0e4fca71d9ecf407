#include "stats/archive_parts.h"

#include <algorithm>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "stats/internal/rows.h"

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using sqlite::Database;
using sqlite::Statement;

constexpr int64_t kArchiveRowsPerPage = 4096;

using internal::kPartVanished;
using internal::kUnfolded;

constexpr std::string_view kArchivePartColumns =
    "day, part, key, after_seq, through_seq, rows, digest_known, digest_high, digest_low,"
    " cleaned_through, cleaned_rows, raw_sha256, state = 'completed'";

ArchivePart archive_part_of(const Statement& row) {
  ArchivePart part;
  part.day = row.column_int(0);
  part.part = row.column_int(1);
  part.key = row.column_text(2);
  part.after = row.column_unsigned(3);
  part.through = row.column_unsigned(4);
  part.rows = row.column_unsigned(5);
  if (row.column_int(6) != 0) part.digest = {row.column_unsigned(7), row.column_unsigned(8)};
  part.cleaned_through = row.column_unsigned(9);
  part.cleaned_rows = row.column_unsigned(10);
  const std::string_view sha256 = row.column_blob(11);
  std::copy_n(sha256.begin(), std::min(sha256.size(), part.raw_sha256.size()),
              part.raw_sha256.begin());
  part.completed = row.column_int(12) != 0;
  return part;
}

base::Result<Statement> prepare_parts(Database& database, std::string_view which) {
  return database.prepare(
      fmt::format("SELECT {} FROM archive_parts WHERE {}", kArchivePartColumns, which));
}

base::Result<std::vector<ArchivePart>> all_parts(Statement query) {
  std::vector<ArchivePart> parts;
  while (WEIR_TRY(query.step()))
    parts.push_back(archive_part_of(query));
  return parts;
}

base::Result<std::optional<ArchivePart>> unfinished_part(Database& database) {
  Statement query =
      WEIR_TRY(prepare_parts(database, "state <> 'completed' ORDER BY day, part LIMIT 1"));
  if (!WEIR_TRY(query.step())) return std::optional<ArchivePart>{};
  return std::optional<ArchivePart>{archive_part_of(query)};
}

// The ledger of a day less what its parts hold.
struct Rest {
  uint64_t rows = 0;
  bool digest_known = false;
  RowsDigest digest;
};

base::Result<std::optional<ArchivePart>> new_archive_part(Database& database, int64_t today,
                                                          int64_t age_days) {
  Statement due = WEIR_TRY(database.prepare(
      "SELECT d.day, d.inserted, d.digest_rows, d.digest_high, d.digest_low FROM day_ledger d"
      " WHERE (d.day <= ?1 - ?2 OR (d.day > ?1 AND d.ingested_day <= ?1 - ?2))"
      " AND d.inserted > (SELECT ifnull(sum(rows), 0) FROM archive_parts p WHERE p.day = d.day)"
      " ORDER BY d.day LIMIT 1"));
  due.bind(1, today);
  due.bind(2, age_days);
  if (!WEIR_TRY(due.step())) return std::optional<ArchivePart>{};
  ArchivePart part;
  part.day = due.column_int(0);
  Rest rest{.rows = due.column_unsigned(1),
            .digest_known = due.column_int(2) == due.column_int(1),
            .digest = {due.column_unsigned(3), due.column_unsigned(4)}};

  Statement parts = WEIR_TRY(
      database.prepare("SELECT rows, digest_high, digest_low, part, through_seq FROM archive_parts"
                       " WHERE day = ?1 ORDER BY part"));
  parts.bind(1, part.day);
  while (WEIR_TRY(parts.step())) {
    rest.rows -= parts.column_unsigned(0);
    rest.digest -= {parts.column_unsigned(1), parts.column_unsigned(2)};
    part.part = parts.column_int(3) + 1;
    part.after = parts.column_unsigned(4);
  }
  part.key = archive_key(part.day, part.part);
  part.rows = rest.rows;
  if (rest.digest_known) part.digest = rest.digest;
  part.through = static_cast<uint64_t>(
      WEIR_TRY(database.query_int("SELECT value - 1 FROM meta WHERE name = 'next_seq'")));
  part.cleaned_through = part.after;
  return std::optional<ArchivePart>{part};
}

base::Status insert_part(Database& database, const ArchivePart& part, base::Wall now) {
  Statement insert = WEIR_TRY(database.prepare(
      "INSERT INTO archive_parts(day, part, key, after_seq, through_seq, rows, digest_known,"
      " digest_high, digest_low, cleaned_through, begun_ms)"
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?4, ?10)"));
  const RowsDigest digest = part.digest.value_or(RowsDigest{});
  insert.bind(1, part.day);
  insert.bind(2, part.part);
  insert.bind_text(3, part.key);
  insert.bind_unsigned(4, part.after);
  insert.bind_unsigned(5, part.through);
  insert.bind_unsigned(6, part.rows);
  insert.bind(7, part.digest ? 1 : 0);
  insert.bind(8, static_cast<int64_t>(digest.high));
  insert.bind(9, static_cast<int64_t>(digest.low));
  insert.bind(10, base::unix_ms(now));
  return insert.run();
}

// Runs a statement that must change exactly the part's row.
base::Status change_part(Database& database, Statement& statement) {
  WEIR_TRY(statement.run());
  if (database.changes() != 1) return kPartVanished;
  return {};
}

constexpr std::string_view kWord =
    "CASE typeof(e.{0}) WHEN 'integer' THEN (SELECT w.word FROM words w WHERE w.word_id = e.{0})"
    " ELSE e.{0} END";

std::string page_query() {
  std::string sql =
      "SELECT e.seq, e.epoch, e.loop, e.sequence, e.id, e.ts_ms, e.lag_s,"
      " (SELECT p.path FROM paths p WHERE p.path_id = e.path_id), e.raw_path,"
      " e.client, e.ip, e.us, e.upstream_us, e.bytes_in, e.bytes_out, e.status,"
      " e.flags, e.outcome, e.cache, e.geo, e.attempts";
  for (const char* column : {"method", "ua", "country", "city", "colo", "route"})
    sql += ", " + fmt::format(fmt::runtime(kWord), column);
  return sql +
         " FROM events e WHERE e.seq > ?1 AND e.seq <= ?2 AND e.ts_ms >= ?3 AND e.ts_ms < ?4"
         " ORDER BY e.seq LIMIT ?5";
}

StoredEvent event_of(const Statement& row, const std::string& ip) {
  StoredEvent event;
  event.seq = row.column_unsigned(0);
  event.epoch = static_cast<uint32_t>(row.column_int(1));
  event.loop = static_cast<uint32_t>(row.column_int(2));
  event.sequence = row.column_unsigned(3);
  event.ts_ms = row.column_int(5);
  event.id = internal::id_of_row(row, 4, event.ts_ms);
  event.created_s = event.ts_ms / 1000 + row.column_int(6);
  event.path = row.column_text(7);
  event.raw_path = row.column_text(8);
  event.client = row.column_unsigned(9);
  event.ip = ip;
  event.us = row.column_unsigned(11);
  event.upstream_us = row.column_unsigned(12);
  event.bytes_in = row.column_unsigned(13);
  event.bytes_out = row.column_unsigned(14);
  event.status = static_cast<uint16_t>(row.column_int(15));
  event.flags = static_cast<uint16_t>(row.column_int(16));
  event.outcome = static_cast<uint8_t>(row.column_int(17));
  event.cache = static_cast<uint8_t>(row.column_int(18));
  event.geo = static_cast<uint8_t>(row.column_int(19));
  event.attempts = static_cast<uint8_t>(row.column_int(20));
  event.method = row.column_text(21);
  event.user_agent = row.column_text(22);
  event.country = row.column_text(23);
  event.city = row.column_text(24);
  event.colo = row.column_text(25);
  event.route = row.column_text(26);
  return event;
}

constexpr std::string_view kZonesOfPart =
    "SELECT zone FROM event_zones WHERE zone >= ?1 AND ts_min < ?2 AND ts_max >= ?3"
    " ORDER BY zone LIMIT 1";

// The first seq above `seq` in a zone that may hold events of the part; past the part when none.
base::Result<uint64_t> next_zone(Statement& zones, const ArchivePart& part, uint64_t seq) {
  zones.reset();
  zones.bind_unsigned(1, (seq + 1) / kZoneSeqs);
  zones.bind(2, (part.day + 1) * codec::kMsPerDay);
  zones.bind(3, part.day * codec::kMsPerDay);
  if (!WEIR_TRY(zones.step())) return part.through + 1;
  return std::max(seq + 1, zones.column_unsigned(0) * kZoneSeqs);
}

}  // namespace

bool is_recorded(const ArchivePart& part, const ArchivedObject& object) {
  return object.rows == part.rows && object.raw_sha256 == part.raw_sha256 &&
         (!part.digest || object.digest == *part.digest);
}

std::string archive_key(int64_t day, int64_t part) {
  const std::string date = codec::iso_day(day);
  if (part == 1) return fmt::format("traffic-events/{}.jsonl.gz", date);
  return fmt::format("traffic-events/{}.part{}.jsonl.gz", date, part);
}

base::Result<std::optional<ArchivePart>> begin_part(Database& database, base::Wall now,
                                                    int64_t age_days) {
  std::optional<ArchivePart> part = WEIR_TRY(unfinished_part(database));
  if (part) return part;
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  part = WEIR_TRY(new_archive_part(database, codec::unix_day_of_ms(base::unix_ms(now)), age_days));
  if (!part) return part;
  WEIR_TRY(insert_part(database, *part, now));
  WEIR_TRY(transaction.commit());
  return part;
}

base::Status complete_part(Database& database, const ArchivePart& part,
                           const ArchivedObject& object, base::Wall now) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  // In a block: no statement may be open when the transaction ends.
  {
    Statement update = WEIR_TRY(database.prepare(
        "UPDATE archive_parts SET state = 'completed', error = NULL, raw_bytes = ?3,"
        " object_bytes = ?4, raw_sha256 = ?5, digest_high = ?6, digest_low = ?7, digest_known = 1,"
        " completed_ms = ?8 WHERE day = ?1 AND part = ?2 AND rows = ?9 AND state <> 'completed'"));
    update.bind(1, part.day);
    update.bind(2, part.part);
    update.bind_unsigned(3, object.raw_bytes);
    update.bind_unsigned(4, object.bytes);
    update.bind_blob(5, codec::as_text(object.raw_sha256));
    update.bind(6, static_cast<int64_t>(object.digest.high));
    update.bind(7, static_cast<int64_t>(object.digest.low));
    update.bind(8, base::unix_ms(now));
    update.bind_unsigned(9, object.rows);
    WEIR_TRY(change_part(database, update));
  }
  WEIR_TRY(transaction.commit());
  return {};
}

base::Status fail_part(Database& database, const ArchivePart& part, std::string_view error) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  {
    Statement update =
        WEIR_TRY(database.prepare("UPDATE archive_parts SET state = 'failed', error = ?3"
                                  " WHERE day = ?1 AND part = ?2 AND state <> 'completed'"));
    update.bind(1, part.day);
    update.bind(2, part.part);
    update.bind_text(3, error);
    WEIR_TRY(change_part(database, update));
  }
  return transaction.commit();
}

base::Result<std::vector<ArchivePart>> parts_to_clean(Database& database) {
  return all_parts(WEIR_TRY(prepare_parts(
      database, "state = 'completed' AND cleaned_through < through_seq ORDER BY day, part")));
}

base::Result<std::vector<ArchivePart>> parts_of(Database& database, int64_t day) {
  Statement query = WEIR_TRY(prepare_parts(database, "day = ?1 ORDER BY part"));
  query.bind(1, day);
  return all_parts(std::move(query));
}

base::Result<std::vector<ArchivePart>> completed_parts(Database& database, const Days& days) {
  Statement query = WEIR_TRY(prepare_parts(
      database, "state = 'completed' AND day >= ?1 AND day <= ?2 ORDER BY day, part"));
  query.bind(1, days.first);
  query.bind(2, days.last);
  return all_parts(std::move(query));
}

base::Result<ArchivePart> clean_slice(Database& database, const ArchivePart& part,
                                      uint64_t seqs_max) {
  const auto derived = static_cast<uint64_t>(
      WEIR_TRY(database.query_int("SELECT seq FROM derived WHERE name = 'folded'")));
  uint64_t begin = part.through + 1;
  {
    Statement zones = WEIR_TRY(database.prepare(kZonesOfPart));
    begin = WEIR_TRY(next_zone(zones, part, part.cleaned_through));
  }
  // Beyond the last zone of the day there is nothing to delete.
  const uint64_t end = std::min(part.through, begin - 1 + seqs_max);
  if (end > derived) return kUnfolded;
  ArchivePart cleaned = part;
  cleaned.cleaned_through = end;
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  {
    Statement remove = WEIR_TRY(database.prepare(
        "DELETE FROM events WHERE seq > ?1 AND seq <= ?2 AND ts_ms >= ?3 AND ts_ms < ?4"));
    remove.bind_unsigned(1, part.cleaned_through);
    remove.bind_unsigned(2, end);
    remove.bind(3, part.day * codec::kMsPerDay);
    remove.bind(4, (part.day + 1) * codec::kMsPerDay);
    WEIR_TRY(remove.run());
    cleaned.cleaned_rows += static_cast<uint64_t>(database.changes());
    Statement update = WEIR_TRY(database.prepare(
        "UPDATE archive_parts SET cleaned_through = ?3, cleaned_rows = ?4"
        " WHERE day = ?1 AND part = ?2 AND cleaned_through = ?5 AND state = 'completed'"));
    update.bind(1, part.day);
    update.bind(2, part.part);
    update.bind_unsigned(3, end);
    update.bind_unsigned(4, cleaned.cleaned_rows);
    update.bind_unsigned(5, part.cleaned_through);
    WEIR_TRY(change_part(database, update));
  }
  WEIR_TRY(transaction.commit());
  return cleaned;
}

base::Status read_part(Database& database, const ArchivePart& part,
                       const std::function<base::Status(const StoredEvent&)>& each) {
  Statement zones = WEIR_TRY(database.prepare(kZonesOfPart));
  Statement page = WEIR_TRY(database.prepare(page_query()));
  uint64_t seq = part.after;
  while (seq < part.through) {
    const uint64_t begin = WEIR_TRY(next_zone(zones, part, seq));
    if (begin > part.through) break;
    const uint64_t zone_end = (begin / kZoneSeqs + 1) * kZoneSeqs - 1;
    const uint64_t end = std::min(part.through, zone_end);
    page.reset();
    page.bind_unsigned(1, begin - 1);
    page.bind_unsigned(2, end);
    page.bind(3, part.day * codec::kMsPerDay);
    page.bind(4, (part.day + 1) * codec::kMsPerDay);
    page.bind(5, kArchiveRowsPerPage);
    int64_t rows = 0;
    uint64_t last = begin - 1;
    while (WEIR_TRY(page.step())) {
      ++rows;
      const std::string ip = internal::address_of(page, 10);
      const StoredEvent event = event_of(page, ip);
      last = event.seq;
      WEIR_TRY(each(event));
    }
    seq = rows == kArchiveRowsPerPage ? last : end;
  }
  page.reset();
  zones.reset();
  return {};
}

}  // namespace weir::stats
