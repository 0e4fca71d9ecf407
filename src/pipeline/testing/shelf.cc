#include "pipeline/testing/shelf.h"

#include <utility>

#include "pipeline/adjust_archiver.h"

namespace weir::pipeline::testing {

void Shelf::event(std::string_view path, uint16_t flags) {
  traffic::Event event = rig.event(path);
  event.flags = flags;
  rig.journal.append(kStream, event);
}

bool Shelf::settle() {
  if (!rig.drain()) return false;
  for (int i = 0; i < 1000; ++i) {
    const auto done = rig.stats->derive(stats::Flush::yes);
    if (!done.ok()) return false;
    if (done.value()) return true;
  }
  return false;
}

base::Status Shelf::archive() {
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  WEIR_TRY(reader.open());
  sqlite::DirectWriter writer{*rig.database};
  Archiver archiver{writer, reader, *store, rig.clock, rig.logger, {}};
  WEIR_TRY(archiver.run({never_, {}}));
  WEIR_TRY(archive_adjustments(writer, reader, *store, rig.clock, rig.logger, {never_, {}}));
  return {};
}

base::Status Shelf::clean() {
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  WEIR_TRY(reader.open());
  sqlite::DirectWriter writer{*rig.database};
  WEIR_TRY(clean_archived(writer, reader, *store, rig.logger, {never_, {}}));
  WEIR_TRY(clean_adjustments(writer, reader, *store, rig.logger, {never_, {}}));
  return {};
}

base::Result<RebuildReport> Shelf::run(sqlite::Database* writer, const RebuildOptions& options) {
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  WEIR_TRY(reader.open());
  Rebuild rebuild{reader, writer, *store, rig.clock, options};
  return rebuild.run({never_, {}});
}

base::Result<RebuildReport> Shelf::check(RebuildOptions options) {
  return run(nullptr, options);
}

base::Result<RebuildReport> Shelf::rebuild(RebuildOptions options) {
  return run(rig.database.get(), options);
}

std::string Shelf::books() {
  std::string books;
  for (const std::string table : {"hourly", "totals", "sketches", "daily_sketches"}) {
    const std::string columns = rig.text(
        "SELECT group_concat('quote(' || name || ')', ' || ''|'' || ') FROM pragma_table_info('" +
        table + "') WHERE name NOT IN ('created_ms', 'updated_ms')");
    sqlite::Statement rows =
        rig.database->prepare("SELECT " + columns + " FROM " + table + " ORDER BY 1").value();
    while (rows.step().value())
      books += table + " " + std::string{rows.column_text(0)} + "\n";
  }
  return books;
}

}  // namespace weir::pipeline::testing
