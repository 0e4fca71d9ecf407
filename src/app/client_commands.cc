#include "app/client_commands.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <unistd.h>

#include "app/command_output.h"
#include "app/log.h"
#include "codec/iso_time.h"
#include "config/ip.h"
#include "os/clock.h"
#include "os/files.h"
#include "stats/client_stats.h"
#include "traffic/client_hasher.h"

namespace weir::app {
namespace {

// None, and said: it is no date.
std::optional<int64_t> last_day(const cli::CommandLine& line) {
  if (line.client.date.empty()) {
    const os::RealClock clock;
    return codec::unix_day_of_ms(base::unix_ms(clock.wall()));
  }
  const base::Result<int64_t> day = codec::parse_iso_day(line.client.date);
  if (day.ok()) return day.value();
  complain(fmt::format("--date {}: no date such as 2026-11-23", line.client.date));
  return std::nullopt;
}

std::string hash_text(uint64_t client) {
  return fmt::format("{:016x}", client);
}

Json parts_json(const std::vector<stats::ClientPart>& parts, const char* name) {
  Json list = Json::array();
  for (const stats::ClientPart& part : parts)
    list.push_back({{name, part.name}, {"requests", part.requests}});
  return list;
}

void add_counts(Json& json, const stats::ClientCounts& counts) {
  json["requests"] = counts.requests;
  json["errors"] = counts.errors;
  json["blocked"] = counts.blocked;
  json["throttled"] = counts.throttled;
  json["success"] = counts.success();
  json["success_rate"] = counts.percent(counts.success());
  json["error_rate"] = counts.percent(counts.errors);
  json["refused_rate"] = counts.percent(counts.refused());
}

Json json_of_client(const stats::ClientRowOfDays& row) {
  Json json{{"client", hash_text(row.client)}};
  json["address"] = row.ip.empty() ? Json() : Json(row.ip);
  add_counts(json, row.counts);
  json["unique_paths"] = row.unique_paths ? Json(*row.unique_paths) : Json();
  json["countries"] = parts_json(row.countries, "country");
  json["first_seen"] = codec::iso_ms(row.first_ms);
  json["last_seen"] = codec::iso_ms(row.last_ms);
  const std::vector<std::string> reasons = row.counts.suspicious();
  json["suspicious"] = !reasons.empty();
  json["reasons"] = reasons;
  return json;
}

// The same for a table: rates with one decimal, lists as text.
Json table_row(Json row) {
  for (const char* const rate : {"success_rate", "error_rate", "refused_rate"})
    row[rate] = fmt::format("{:.1f}", row[rate].get<double>());
  const auto joined = [&row](const char* list, const auto& text_of) {
    if (!row.contains(list)) return;
    std::string text;
    for (const Json& each : row[list])
      text += (text.empty() ? "" : ", ") + text_of(each);
    row[list] = text;
  };
  joined("countries", [](const Json& each) {
    return fmt::format("{} {}", each["country"].get<std::string>(),
                       each["requests"].get<uint64_t>());
  });
  joined("reasons", [](const Json& each) { return each.get<std::string>(); });
  return row;
}

int cannot_read_clients(const base::Error& error, const sqlite::Database& database) {
  complain(error.code == base::ErrorCode::cancelled
               ? fmt::format("it took more than {} seconds; ask for fewer days",
                             stats::kClientsPatience.count() / 1000)
               : fmt::format("the statistics cannot be read: {}", database.message()));
  return 1;
}

// None, and said: the argument is neither an address nor a hash, or the node's key cannot be read.
std::optional<uint64_t> client_asked(const cli::CommandLine& line) {
  const std::string& text = line.client.client;
  if (const std::optional<config::IpAddress> ip = config::parse_ip(text)) {
    const std::string keys = line.data_dir + "/keys";
    // Opening it would make one, under which nobody was ever counted.
    if (::access((keys + "/client.key").c_str(), R_OK) != 0) {
      complain(fmt::format("{}/client.key: cannot be read; ask by the hash instead", keys));
      return std::nullopt;
    }
    os::RealFiles files;
    const auto hasher = traffic::ClientHasher::open(files, keys);
    if (hasher.ok()) return hasher.value().hash(config::IpText{*ip}.view());
    complain(fmt::format("{}/client.key: {}", keys, hasher.error().what.view()));
    return std::nullopt;
  }
  stats::ClientsQuery query;
  if (text.size() == 16 && stats::search_clients(text, query)) return query.hash_min;
  complain(
      fmt::format("{}: neither an address nor a hash; allowed: 203.0.113.7, 2001:db8::1, or the 16 "
                  "hexadecimal digits of weir stats clients",
                  text));
  return std::nullopt;
}

void print_detail(const stats::ClientDetail& detail, const Json& days) {
  const stats::ClientCounts& counts = detail.sum.counts;
  std::string text = fmt::format("client     {}\n", hash_text(detail.sum.client));
  if (!detail.sum.ip.empty()) text += fmt::format("address    {}\n", detail.sum.ip);
  text += fmt::format("seen       {} to {}\n", codec::iso_ms(detail.sum.first_ms),
                      codec::iso_ms(detail.sum.last_ms));
  text += fmt::format("requests   {}, {:.1f} % success, {:.1f} % errors, {:.1f} % refused\n",
                      counts.requests, counts.percent(counts.success()),
                      counts.percent(counts.errors), counts.percent(counts.refused()));
  for (const std::string& reason : counts.suspicious())
    text += fmt::format("suspicious {}\n", reason);
  print(text + "\n");
  cli::CommandLine for_people;
  print_rows(for_people, days,
             {"date", "requests", "errors", "blocked", "throttled", "unique_paths"});
  for (const auto& [name, parts] :
       {std::pair{"path", &detail.paths}, std::pair{"country", &detail.sum.countries},
        std::pair{"user_agent", &detail.user_agents}}) {
    if (parts->empty()) continue;
    print("\n");
    print_rows(for_people, parts_json(*parts, name), {name, "requests"});
  }
}

}  // namespace

int run_stats_clients(const cli::CommandLine& line) {
  const std::optional<int64_t> day = last_day(line);
  if (!day) return 1;
  stats::ClientsQuery query{.last_day = *day,
                            .days = line.client.days,
                            .sort = line.client.sort == "errors" ? stats::ClientSort::errors
                                                                 : stats::ClientSort::requests,
                            .limit = line.limit};
  if (!line.client.search.empty() && !stats::search_clients(line.client.search, query)) {
    complain(fmt::format("--search {}: no beginning of a hash; allowed: 3 to 16 hexadecimal digits",
                         line.client.search));
    return 1;
  }
  flush(line.data_dir);
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  const os::RealClock clock;
  const auto answer = stats::busiest_clients(reader.database, clock, query);
  if (!answer.ok()) return cannot_read_clients(answer.error(), reader.database);
  Json rows = Json::array();
  for (const stats::ClientRowOfDays& row : answer.value().clients) {
    Json json = json_of_client(row);
    rows.push_back(line.json ? std::move(json) : table_row(std::move(json)));
  }
  print_rows(line, rows,
             {"client", "address", "requests", "errors", "blocked", "throttled", "success",
              "success_rate", "error_rate", "refused_rate", "unique_paths", "countries",
              "first_seen", "last_seen", "reasons"});
  return 0;
}

int run_stats_client(const cli::CommandLine& line) {
  const std::optional<int64_t> day = last_day(line);
  const std::optional<uint64_t> client = client_asked(line);
  if (!day || !client) return 1;
  flush(line.data_dir);
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  const os::RealClock clock;
  const auto found = stats::client_detail(reader.database, clock, *client, *day);
  if (!found.ok()) return cannot_read_clients(found.error(), reader.database);
  if (!found.value()) {
    complain(fmt::format("{}: no requests in the {} days up to {}", line.client.client,
                         stats::kClientDaysMax, codec::iso_day(*day)));
    return 1;
  }
  const stats::ClientDetail& detail = *found.value();
  Json days = Json::array();
  for (const stats::ClientDay& each : detail.days) {
    Json row{{"date", codec::iso_day(each.day)}};
    add_counts(row, each.counts);
    row["unique_paths"] = each.unique_paths ? Json(*each.unique_paths) : Json();
    days.push_back(std::move(row));
  }
  if (!line.json) {
    print_detail(detail, days);
    return 0;
  }
  Json json = json_of_client(detail.sum);
  json["days"] = std::move(days);
  json["paths"] = parts_json(detail.paths, "path");
  json["user_agents"] = parts_json(detail.user_agents, "user_agent");
  print_json(json);
  return 0;
}

}  // namespace weir::app
