#include "app/command_output.h"

#include <cstdio>
#include <thread>

#include <fmt/format.h>

#include "app/control_socket.h"
#include "app/log.h"
#include "app/recording.h"
#include "cli/table.h"
#include "codec/iso_time.h"

namespace weir::app {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kPatience{5000};
constexpr milliseconds kLook{10};

std::string table_of(const Json& rows, const std::vector<std::string>& columns) {
  cli::Table table{columns};
  for (const Json& row : rows) {
    std::vector<std::string> cells;
    for (const std::string& column : columns) {
      const Json& value = row[column];
      cells.push_back(value.is_null()           ? ""
                      : value.is_string()       ? value.get<std::string>()
                      : value.is_number_float() ? fmt::format("{:.2f}", value.get<double>())
                                                : value.dump());
    }
    table.add(std::move(cells));
  }
  return table.text();
}

}  // namespace

void print(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

void print_json(const Json& json) {
  print(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
}

std::string time_text(base::Wall wall) {
  return codec::iso_ms(base::unix_ms(wall));
}

void print_rows(const cli::CommandLine& line, const Json& rows,
                const std::vector<std::string>& columns) {
  if (line.json) return print_json(rows);
  print(table_of(rows, columns));
}

Reader::Reader(const std::string& data_dir)
    : database(database_path(data_dir), {.access = sqlite::Access::query_only}) {}

bool Reader::open() {
  if (database.open().ok()) return true;
  complain(fmt::format("{}: no database that can be read", database.path()));
  return false;
}

Json ask(const std::string& data_dir, const Json& question) {
  const auto answer = ask_server(data_dir, question.dump(), kPatience);
  return answer.ok() ? Json::parse(answer.value(), nullptr, false) : Json();
}

void flush(const std::string& data_dir) {
  const Json asked = ask(data_dir, {{"command", "flush"}});
  if (!asked.is_object() || !asked.contains("request")) return;
  for (milliseconds waited{0}; waited < kPatience; waited += kLook) {
    const Json status = ask(data_dir, {{"command", "status"}});
    if (!status.is_object() || status["consumer"]["flushed"] >= asked["request"]) return;
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace weir::app
