// Several parts of a day become one: the tables' side of it. Beside archive_parts.cc to keep both
// short.

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "codec/text.h"
#include "stats/archive_parts.h"
#include "stats/internal/rows.h"

namespace weir::stats {
namespace {

using sqlite::Database;
using sqlite::Statement;

using internal::kPartVanished;

base::Status remove_part(Database& database, const ArchivePart& part) {
  Statement remove = WEIR_TRY(database.prepare(
      "DELETE FROM archive_parts WHERE day = ?1 AND part = ?2 AND key = ?3 AND state = 'completed'"
      " AND cleaned_through = through_seq"));
  remove.bind(1, part.day);
  remove.bind(2, part.part);
  remove.bind_text(3, part.key);
  WEIR_TRY(remove.run());
  if (database.changes() != 1) return kPartVanished;
  Statement obsolete =
      WEIR_TRY(database.prepare("INSERT OR IGNORE INTO obsolete_objects VALUES(?1)"));
  obsolete.bind_text(1, part.key);
  return obsolete.run();
}

base::Status insert_merged(Database& database, const ArchivePart& part,
                           const ArchivedObject& object, base::Wall now) {
  Statement insert = WEIR_TRY(database.prepare(
      "INSERT INTO archive_parts(day, part, key, after_seq, through_seq, rows, digest_known,"
      " digest_high, digest_low, state, raw_bytes, object_bytes, raw_sha256, cleaned_through,"
      " cleaned_rows, begun_ms, completed_ms)"
      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, 1, ?7, ?8, 'completed', ?9, ?10, ?11, ?5, ?12, ?13, ?13)"));
  insert.bind(1, part.day);
  insert.bind(2, part.part);
  insert.bind_text(3, part.key);
  insert.bind_unsigned(4, part.after);
  insert.bind_unsigned(5, part.through);
  insert.bind_unsigned(6, object.rows);
  insert.bind(7, static_cast<int64_t>(object.digest.high));
  insert.bind(8, static_cast<int64_t>(object.digest.low));
  insert.bind_unsigned(9, object.raw_bytes);
  insert.bind_unsigned(10, object.bytes);
  insert.bind_blob(11, codec::as_text(object.raw_sha256));
  insert.bind_unsigned(12, part.cleaned_rows);
  insert.bind(13, base::unix_ms(now));
  return insert.run();
}

}  // namespace

std::string merged_key(int64_t day, int64_t part) {
  return fmt::format("traffic-events/{}.merged{}.jsonl.gz", codec::iso_day(day), part);
}

base::Result<std::vector<int64_t>> days_of_several_parts(Database& database) {
  Statement query =
      WEIR_TRY(database.prepare("SELECT day FROM archive_parts GROUP BY day HAVING count(*) > 1"
                                " ORDER BY day"));
  std::vector<int64_t> days;
  while (WEIR_TRY(query.step()))
    days.push_back(query.column_int(0));
  return days;
}

base::Status swap_parts(Database& database, const std::vector<ArchivePart>& parts,
                        const ArchivePart& merged, const ArchivedObject& object, base::Wall now) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  for (const ArchivePart& part : parts)
    WEIR_TRY(remove_part(database, part));
  WEIR_TRY(insert_merged(database, merged, object, now));
  return transaction.commit();
}

base::Result<std::vector<std::string>> obsolete_objects(Database& database) {
  Statement query = WEIR_TRY(database.prepare("SELECT key FROM obsolete_objects ORDER BY key"));
  std::vector<std::string> keys;
  while (WEIR_TRY(query.step()))
    keys.emplace_back(query.column_text(0));
  return keys;
}

base::Status forget_object(Database& database, std::string_view key) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  {
    Statement remove = WEIR_TRY(database.prepare("DELETE FROM obsolete_objects WHERE key = ?1"));
    remove.bind_text(1, key);
    WEIR_TRY(remove.run());
  }
  return transaction.commit();
}

}  // namespace weir::stats
