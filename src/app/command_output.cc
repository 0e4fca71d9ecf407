#include "app/command_output.h"

#include <cstdio>
#include <thread>

#include <fmt/format.h>
#include <unistd.h>

#include "app/control_socket.h"
#include "app/housekeeping.h"
#include "app/log.h"
#include "app/recording.h"
#include "cli/table.h"
#include "codec/iso_time.h"

namespace weir::app {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kAnswerPatience{5000};
constexpr milliseconds kAnswerLook{10};
constexpr milliseconds kAnswerPause{50};
constexpr milliseconds kUnwatched{2000};  // For which nobody needs to see progress.

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

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

void print_json(const Json& json) {
  print(json_text(json) + "\n");
}

Json problems_json(const std::vector<config::Problem>& problems) {
  Json json = Json::array();
  for (const config::Problem& problem : problems) {
    json.push_back({{"file", problem.file},
                    {"line", problem.line},
                    {"column", problem.column},
                    {"key", problem.key},
                    {"message", problem.message},
                    {"allowed", problem.allowed}});
  }
  return json;
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
  complain(
      fmt::format("{}: no database that can be read: {}", database.path(), database.message()));
  return false;
}

std::unique_ptr<objects::DirectoryStore> open_objects(os::Files& files, const base::Clock& clock,
                                                      const std::string& data_dir) {
  auto store = objects::DirectoryStore::open(
      files, clock, {.directory = objects_path(data_dir), .access = objects::Access::read_only});
  if (store.ok()) return std::move(store).value();
  complain(fmt::format("{}: no object store that can be read: {}", objects_path(data_dir),
                       store.error().what.view()));
  return nullptr;
}

bool days_asked(const cli::CommandLine& line, int64_t& first, int64_t& last) {
  for (const auto& [text, day] :
       {std::pair{&line.from_date, &first}, std::pair{&line.to_date, &last}}) {
    if (text->empty()) continue;
    const base::Result<int64_t> parsed = codec::parse_iso_day(*text);
    if (!parsed.ok()) {
      complain(fmt::format("{}: not a date such as 2026-11-23", *text));
      return false;
    }
    *day = parsed.value();
  }
  if (first <= last || line.from_date.empty() || line.to_date.empty()) return true;
  complain(fmt::format("--from {} is after --to {}", line.from_date, line.to_date));
  return false;
}

std::function<void(uint64_t, uint64_t)> progress_on_terminal(const base::Clock& clock,
                                                             std::string_view what,
                                                             std::string_view unit) {
  if (::isatty(STDERR_FILENO) == 0) return {};
  return [&clock, what, unit, begun = clock.monotonic(), shown = false](uint64_t done,
                                                                        uint64_t total) mutable {
    if (total == 0 || (!shown && clock.monotonic() < begun + kUnwatched)) return;
    shown = true;
    fmt::print(stderr, "\r{}: {} of {} {}{}", what, done, total, unit, done == total ? "\n" : " ");
    std::fflush(stderr);
  };
}

Json ask(const std::string& data_dir, const Json& question) {
  const auto answer = ask_server(data_dir, json_text(question), kAnswerPatience);
  return answer.ok() ? Json::parse(answer.value(), nullptr, false) : Json();
}

Json ask_running(const std::string& data_dir, const Json& question) {
  const auto text = ask_server(data_dir, json_text(question), kAnswerPatience);
  if (!text.ok()) {
    complain_of_no_answer(data_dir, text.error());
    return {};
  }
  Json answer = Json::parse(text.value(), nullptr, false);
  if (answer.is_object()) return answer;
  complain(fmt::format("{}: the server's answer is not understood", data_dir));
  return {};
}

void complain_of_no_answer(const std::string& data_dir, const base::Error& error) {
  if (error.code == base::ErrorCode::timed_out) {
    complain(fmt::format("{}: the server does not answer", data_dir));
  } else {
    complain_of_no_server(data_dir);
  }
}

void complain_of_no_server(const std::string& data_dir) {
  complain(fmt::format("{}: no server runs on this data directory", data_dir));
}

Json ask_until(const std::string& data_dir, const Json& question, milliseconds patience,
               const std::function<bool(const Json& answer)>& done) {
  for (milliseconds waited{0}; waited < patience; waited += kAnswerPause) {
    Json answer = ask(data_dir, question);
    if (!answer.is_object() || done(answer)) return answer;
    std::this_thread::sleep_for(kAnswerPause);
  }
  return {};
}

void flush(const std::string& data_dir) {
  const Json asked = ask(data_dir, {{"command", "flush"}});
  if (!asked.is_object() || !asked.contains("request")) return;
  for (milliseconds waited{0}; waited < kAnswerPatience; waited += kAnswerLook) {
    const Json status = ask(data_dir, {{"command", "status"}});
    if (!status.is_object() || status["consumer"]["flushed"] >= asked["request"]) return;
    std::this_thread::sleep_for(kAnswerLook);
  }
}

}  // namespace weir::app
