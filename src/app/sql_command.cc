#include "app/sql_command.h"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/housekeeping.h"
#include "app/log.h"
#include "cli/table.h"
#include "objects/directory_store.h"
#include "os/clock.h"
#include "os/files.h"
#include "pipeline/archive_query.h"
#include "stats/query.h"

namespace weir::app {
namespace {

// Whoever has waited for archives has many rows to go through: about 4 s for a million.
constexpr std::chrono::minutes kArchiveTimeMax{2};

Json json_of(const stats::QueryValue& value) {
  switch (value.type) {
    case sqlite::ColumnType::integer:
      return value.integer;
    case sqlite::ColumnType::real:
      return value.real;
    case sqlite::ColumnType::text:
      return std::string{value.bytes};
    case sqlite::ColumnType::blob: {
      std::string hex;
      for (const char byte : value.bytes) {
        hex += fmt::format("{:02x}", static_cast<unsigned char>(byte));
      }
      return hex;
    }
    case sqlite::ColumnType::null:
      break;
  }
  return nullptr;
}

// Prints rows as they come, or, for people, when all are there.
// Threading: one thread at a time.
class Printer {
 public:
  explicit Printer(const cli::CommandLine& line) : line_(line) {}

  stats::QueryEvents events() {
    return {.on_columns =
                [this](std::span<const std::string_view> columns) {
                  names_.assign(columns.begin(), columns.end());
                  table_.emplace(names_);
                },
            .on_row =
                [this](std::span<const stats::QueryValue> row) {
                  add(row);
                  return true;
                }};
  }

  int finish(const stats::QueryOutcome& outcome) {
    if (!outcome.status.ok()) {
      if (line_.json && !first_) print("]\n");
      complain(outcome.message);
      return 1;
    }
    if (line_.json) {
      print(first_ ? "[]\n" : "]\n");
    } else if (table_) {
      print(table_->text());
    }
    return 0;
  }

 private:
  void add(std::span<const stats::QueryValue> row) {
    Json object = Json::object();
    std::vector<std::string> cells;
    for (size_t i = 0; i < row.size(); ++i) {
      Json value = json_of(row[i]);
      cells.push_back(value.is_string() ? value.get<std::string>()
                      : value.is_null() ? std::string{}
                                        : value.dump());
      if (line_.json) object[names_[i]] = std::move(value);
    }
    if (line_.json) {
      print(first_ ? "[" : ",\n ");
      print(json_text(object));
    } else {
      table_->add(std::move(cells));
    }
    first_ = false;
  }

  const cli::CommandLine& line_;
  std::vector<std::string> names_;
  std::optional<cli::Table> table_;
  bool first_ = true;
};

int run_over_archive(const cli::CommandLine& line, sqlite::Database& database,
                     const stats::Days& days) {
  os::RealFiles files;
  const os::RealClock clock;
  const auto store = open_objects(files, clock, line.data_dir);
  if (store == nullptr) return 1;
  const std::atomic<bool> never{false};
  const pipeline::Work work{.cancelled = never,
                            .progress = progress_on_terminal(clock, "archive", "rows read")};
  Printer printer{line};
  const stats::QueryOptions options{.time_max = kArchiveTimeMax};
  pipeline::ArchiveQuery query{database, *store, clock, days};
  return printer.finish(query.run(line.statement, options, printer.events(), work));
}

}  // namespace

int run_sql(const cli::CommandLine& line) {
  stats::Days days;
  if (!days_asked(line, days.first, days.last)) return 2;
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  if (!line.from_date.empty() || !line.to_date.empty())
    return run_over_archive(line, reader.database, days);
  const os::RealClock clock;
  Printer printer{line};
  return printer.finish(
      stats::run_query(reader.database, clock, line.statement, {}, printer.events()));
}

}  // namespace weir::app
