#include "app/queue_commands.h"

#include <cstdio>
#include <thread>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

#include "app/command_output.h"
#include "app/log.h"
#include "codec/iso_time.h"
#include "stats/sqlite_stats.h"
#include "traffic/event.h"

namespace weir::app {
namespace {

using pipeline::LettersRequest;
using std::chrono::milliseconds;

constexpr milliseconds kLettersLook{50};
constexpr milliseconds kBeforeProgress{2000};

// What can be told of the event in a letter; empty where it cannot be read.
Json event_json(const std::string& payload) {
  const base::Result<traffic::Event> event = traffic::decode(payload);
  if (!event.ok()) return {{"time", nullptr}, {"method", nullptr}, {"path", nullptr}};
  return {{"time", codec::iso_ms(event.value().arrival_us / 1000)},
          {"method", std::string{event.value().method}},
          {"path", std::string{event.value().path}},
          {"status", event.value().status}};
}

Json json_of(const stats::StoredLetter& letter) {
  Json row{{"id", letter.letter_id},        {"died", time_text(letter.died)},
           {"reason", letter.reason},       {"epoch", letter.stream.epoch},
           {"loop", letter.stream.loop},    {"sequence", letter.sequence},
           {"bytes", letter.payload.size()}};
  row.update(event_json(letter.payload));
  return row;
}

void show_letters(const Json& letters, bool& shown) {
  if (::isatty(STDERR_FILENO) == 0) return;
  fmt::print(stderr, "\r{} counted, {} deleted, {} refused  ", letters["replayed"].dump(),
             letters["purged"].dump(), letters["refused"].dump());
  std::fflush(stderr);
  shown = true;
}

// What became of the request; null: the server ended.
Json await_letters(const cli::CommandLine& line, const Json& asked) {
  bool shown = false;
  for (milliseconds waited{0};; waited += kLettersLook) {
    const Json status = ask_running(line.data_dir, {{"command", "status"}});
    if (!status.is_object()) return {};
    const Json& letters = status["consumer"]["letters"];
    if (letters["done_request"] >= asked["request"]) {
      if (shown) fmt::print(stderr, "\n");
      return letters;
    }
    if (waited >= kBeforeProgress) show_letters(letters, shown);
    std::this_thread::sleep_for(kLettersLook);
  }
}

// A row for each reason; false: they cannot be read, and that was said.
bool add_letters(sqlite::Database& database, Json& rows) {
  base::Result<sqlite::Statement> prepared = database.prepare(
      "SELECT reason, count(*), sum(length(payload)) FROM dead_letters GROUP BY reason");
  if (prepared.ok()) {
    sqlite::Statement query = std::move(prepared).value();
    base::Result<bool> row = query.step();
    for (; row.ok() && row.value(); row = query.step()) {
      rows.push_back({{"queue", "dead-letters"},
                      {"waiting", query.column_int(1)},
                      {"bytes", query.column_int(2)},
                      {"what", query.column_text(0)}});
    }
    if (row.ok()) return true;
  }
  complain(fmt::format("the dead letters cannot be read: {}", database.message()));
  return false;
}

}  // namespace

int run_queues_list(const cli::CommandLine& line) {
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  const Json status = ask(line.data_dir, {{"command", "status"}});
  Json rows = Json::array();
  const bool runs = status.is_object() && status.contains("journal");
  rows.push_back(
      {{"queue", "journal"},
       {"waiting", runs ? status["journal"]["backlog_records"] : Json()},
       {"bytes", runs ? status["journal"]["backlog_bytes"] : Json()},
       {"what", runs ? "recorded, on the way to the database" : "no server runs there"}});
  if (!add_letters(reader.database, rows)) return 1;
  print_rows(line, rows, {"queue", "waiting", "bytes", "what"});
  return 0;
}

int run_dead_letters(const cli::CommandLine& line) {
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  stats::SqliteStats stats{reader.database, 0};
  const auto letters = stats.dead_letters(0, line.limit);
  if (!letters.ok()) {
    complain(fmt::format("the dead letters cannot be read: {}", stats.last_error()));
    return 1;
  }
  Json rows = Json::array();
  for (const stats::StoredLetter& letter : letters.value())
    rows.push_back(json_of(letter));
  print_rows(line, rows, {"id", "died", "reason", "bytes", "time", "method", "path"});
  return 0;
}

int run_letters(const cli::CommandLine& line) {
  const bool purge = line.command == cli::Command::queues_purge;
  const Json asked = ask_running(
      line.data_dir,
      {{"command", "letters"}, {"action", purge ? "purge" : "replay"}, {"ids", line.letter_ids}});
  if (!asked.is_object()) return 1;
  if (!asked.contains("request")) {
    complain(asked.value("error", "the server's answer is not understood"));
    return 1;
  }
  const Json letters = await_letters(line, asked);
  if (!letters.is_object()) return 1;
  if (line.json) {
    print_json(letters);
  } else {
    print(purge ? fmt::format("{} deleted\n", letters["purged"].dump())
                : fmt::format("{} counted, {} refused\n", letters["replayed"].dump(),
                              letters["refused"].dump()));
  }
  return letters["refused"] == 0 ? 0 : 1;
}

bool parse_letters_request(const std::string& text, LettersRequest& request) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object() || !json.contains("action") || !json.contains("ids")) return false;
  const Json& action = json["action"];
  if (action != "replay" && action != "purge") return false;
  request.action =
      action == "purge" ? LettersRequest::Action::purge : LettersRequest::Action::replay;
  if (!json["ids"].is_array()) return false;
  for (const Json& id : json["ids"]) {
    if (!id.is_number_integer()) return false;
    request.letter_ids.push_back(id.get<int64_t>());
  }
  return true;
}

}  // namespace weir::app
