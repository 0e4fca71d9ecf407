#include "stats/client_lists.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include "codec/iso_time.h"

namespace weir::stats {
namespace {

using base::Error;
using base::ErrorCode;
using sqlite::Database;
using sqlite::Statement;
using Json = nlohmann::ordered_json;

constexpr size_t kWhole = std::string::npos;
constexpr size_t kClientsPerCommand = 200;  // About 20 ms of writing.

// A closed day to be listed, and where its events lie.
struct Day {
  int64_t day = 0;
  int64_t events = 0;  // Detail rows, by the ledger.
  int64_t first_seq = 0;
  int64_t last_seq = 0;
};

struct Count {
  int64_t path_id = 0;
  std::string name;  // Of a country or user agent.
  int64_t requests = 0;
};

struct Lists {
  int64_t client = 0;
  size_t unique_paths = 0;
  std::vector<Count> paths;
  std::string countries;  // JSON.
  std::string user_agents;
  std::string city;  // The most frequent one; empty: none.
};

base::Result<std::optional<Day>> next_day(Database& database, int64_t today) {
  Statement query = WEIR_TRY(database.prepare(
      "SELECT l.day, l.inserted,"
      " (SELECT min(zone) FROM event_zones WHERE ts_max >= l.day * 86400000) * 8192,"
      " (SELECT max(zone) FROM event_zones WHERE ts_min < (l.day + 1) * 86400000) * 8192 + 8191"
      " FROM day_ledger l LEFT JOIN listed_days d ON d.day = l.day"
      " WHERE l.day < ?1 AND l.inserted > ifnull(d.events, 0) AND NOT EXISTS"
      " (SELECT 1 FROM archive_parts p WHERE p.day = l.day AND p.cleaned_rows > 0)"
      " ORDER BY l.day LIMIT 1"));
  query.bind(1, today);
  if (!WEIR_TRY(query.step())) return std::optional<Day>{};
  return std::optional<Day>{
      Day{query.column_int(0), query.column_int(1), query.column_int(2), query.column_int(3)}};
}

// The groups of one kind, ordered by client.
class Groups {
 public:
  static base::Result<Groups> open(Database& database, std::string_view sql, const Day& day) {
    Groups groups{WEIR_TRY(database.prepare(sql))};
    groups.query_.bind(1, day.first_seq);
    groups.query_.bind(2, day.last_seq);
    groups.query_.bind(3, day.day * codec::kMsPerDay);
    groups.query_.bind(4, (day.day + 1) * codec::kMsPerDay);
    WEIR_TRY(groups.next());
    return groups;
  }

  bool ended() const { return ended_; }
  int64_t client() const { return query_.column_int(0); }

  // All groups of `client`, most requests first; those of clients before it are passed over.
  base::Result<std::vector<Count>> of(int64_t client) {
    std::vector<Count> counts;
    while (!ended_ && this->client() < client)
      WEIR_TRY(next());
    while (!ended_ && this->client() == client) {
      Count& count = counts.emplace_back();
      if (query_.column_type(1) == sqlite::ColumnType::integer) {
        count.path_id = query_.column_int(1);
      } else {
        count.name = query_.column_text(1);
      }
      count.requests = query_.column_int(2);
      WEIR_TRY(next());
    }
    std::stable_sort(counts.begin(), counts.end(),
                     [](const Count& a, const Count& b) { return a.requests > b.requests; });
    return counts;
  }

 private:
  explicit Groups(Statement query) : query_(std::move(query)) {}
  base::Status next() {
    ended_ = !WEIR_TRY(query_.step());
    return {};
  }

  Statement query_;
  bool ended_ = false;
};

constexpr std::string_view kPaths =
    "SELECT client, path_id, count(*) FROM events WHERE seq BETWEEN ?1 AND ?2 AND ts_ms >= ?3"
    " AND ts_ms < ?4 AND path_id IS NOT (SELECT path_id FROM paths WHERE path = '__other__')"
    " GROUP BY client, path_id ORDER BY client, path_id";
constexpr std::string_view kCountries =
    "SELECT client, CASE typeof(country) WHEN 'integer' THEN (SELECT word FROM words"
    " WHERE word_id = country) ELSE country END, count(*) FROM events WHERE seq BETWEEN ?1 AND ?2"
    " AND ts_ms >= ?3 AND ts_ms < ?4 AND country IS NOT NULL GROUP BY client, country"
    " ORDER BY client, country";
constexpr std::string_view kUserAgents =
    "SELECT client, CASE typeof(ua) WHEN 'integer' THEN (SELECT word FROM words WHERE word_id = ua)"
    " ELSE ua END, count(*) FROM events WHERE seq BETWEEN ?1 AND ?2 AND ts_ms >= ?3 AND ts_ms < ?4"
    " AND ua IS NOT NULL GROUP BY client, ua ORDER BY client, ua";

constexpr std::string_view kCities =
    "SELECT client, CASE typeof(city) WHEN 'integer' THEN (SELECT word FROM words"
    " WHERE word_id = city) ELSE city END, count(*) FROM events WHERE seq BETWEEN ?1 AND ?2"
    " AND ts_ms >= ?3 AND ts_ms < ?4 AND city IS NOT NULL GROUP BY client, city"
    " ORDER BY client, city";

std::string json_of(const std::vector<Count>& counts, const char* name, size_t count_max,
                    size_t bytes_max) {
  Json list = Json::array();
  for (size_t i = 0; i < std::min(counts.size(), count_max); ++i) {
    list.push_back({{name, counts[i].name.substr(0, bytes_max)}, {"count", counts[i].requests}});
  }
  return list.dump(-1, ' ', false, Json::error_handler_t::replace);
}

base::Result<std::vector<Count>> named(Database& database, std::vector<Count> paths) {
  const Database::Borrowed name =
      WEIR_TRY(database.cached("SELECT path FROM paths WHERE path_id = ?1"));
  for (Count& path : paths) {
    name->reset();
    name->bind(1, path.path_id);
    if (WEIR_TRY(name->step())) path.name = name->column_text(0);
  }
  return paths;
}

base::Status write_lists(Database& database, int64_t day, const std::vector<Lists>& page) {
  sqlite::Transaction transaction = WEIR_TRY(sqlite::Transaction::begin(database));
  const Database::Borrowed remove =
      WEIR_TRY(database.cached("DELETE FROM client_paths WHERE day = ?1 AND client = ?2"));
  const Database::Borrowed insert =
      WEIR_TRY(database.cached("INSERT INTO client_paths VALUES(?1, ?2, ?3, ?4)"));
  const Database::Borrowed lists = WEIR_TRY(
      database.cached("INSERT OR REPLACE INTO client_lists VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)"));
  const Database::Borrowed known =
      WEIR_TRY(database.cached("SELECT 1 FROM client_daily WHERE day = ?1 AND client = ?2"));
  for (const Lists& client : page) {
    // Clients beyond the day's limit have one row together, and no lists.
    known->reset();
    known->bind(1, day);
    known->bind(2, client.client);
    if (!WEIR_TRY(known->step())) continue;
    remove->bind(1, day);
    remove->bind(2, client.client);
    WEIR_TRY(remove->run());
    for (const Count& path : client.paths) {
      insert->bind(1, day);
      insert->bind(2, client.client);
      insert->bind(3, path.path_id);
      insert->bind(4, path.requests);
      WEIR_TRY(insert->run());
    }
    const std::string top_paths =
        json_of(WEIR_TRY(named(database, client.paths)), "path", kListedPaths, kWhole);
    lists->bind(1, day);
    lists->bind(2, client.client);
    lists->bind_unsigned(3, client.unique_paths);
    lists->bind_text(4, top_paths);
    lists->bind_text(5, client.countries);
    lists->bind_text(6, client.user_agents);
    if (client.city.empty()) {
      lists->bind_null(7);
    } else {
      lists->bind_text(7, client.city);
    }
    WEIR_TRY(lists->run());
  }
  return transaction.commit();
}

base::Status mark_listed(Database& database, const Day& day) {
  Statement mark = WEIR_TRY(database.prepare("INSERT OR REPLACE INTO listed_days VALUES(?1, ?2)"));
  mark.bind(1, day.day);
  mark.bind(2, day.events);
  return mark.run();
}

// The four kinds of groups, read side by side.
struct Reading {
  Groups paths;
  Groups countries;
  Groups user_agents;
  Groups cities;
};

base::Result<Lists> next_lists(Reading& reading) {
  Lists lists{.client = reading.paths.client()};
  lists.paths = WEIR_TRY(reading.paths.of(lists.client));
  lists.unique_paths = lists.paths.size();
  lists.paths.resize(std::min(lists.paths.size(), kListedPaths));
  lists.countries =
      json_of(WEIR_TRY(reading.countries.of(lists.client)), "code", kListedCountries, kWhole);
  lists.user_agents = json_of(WEIR_TRY(reading.user_agents.of(lists.client)), "ua",
                              kListedUserAgents, kListedUserAgentBytes);
  const std::vector<Count> cities = WEIR_TRY(reading.cities.of(lists.client));
  if (!cities.empty()) lists.city = cities.front().name;
  return lists;
}

base::Result<uint64_t> list_day(sqlite::Writer& writer, Database& reader, const Day& day,
                                const std::atomic<bool>& cancelled) {
  Reading reading{WEIR_TRY(Groups::open(reader, kPaths, day)),
                  WEIR_TRY(Groups::open(reader, kCountries, day)),
                  WEIR_TRY(Groups::open(reader, kUserAgents, day)),
                  WEIR_TRY(Groups::open(reader, kCities, day))};
  uint64_t clients = 0;
  while (!reading.paths.ended()) {
    if (cancelled.load(std::memory_order_relaxed)) return base::cancelled("lists of clients");
    std::vector<Lists> page;
    while (!reading.paths.ended() && page.size() < kClientsPerCommand)
      page.push_back(WEIR_TRY(next_lists(reading)));
    clients += page.size();
    WEIR_TRY(writer.run([&](Database& database) { return write_lists(database, day.day, page); }));
  }
  WEIR_TRY(writer.run([&day](Database& database) { return mark_listed(database, day); }));
  return clients;
}

}  // namespace

base::Result<ListOutcome> list_clients(sqlite::Writer& writer, sqlite::Database& reader,
                                       base::Wall now, const std::atomic<bool>& cancelled) {
  const int64_t today = codec::unix_day_of_ms(base::unix_ms(now));
  ListOutcome outcome;
  while (const std::optional<Day> day = WEIR_TRY(next_day(reader, today))) {
    outcome.clients += WEIR_TRY(list_day(writer, reader, *day, cancelled));
    ++outcome.days;
  }
  return outcome;
}

}  // namespace weir::stats
