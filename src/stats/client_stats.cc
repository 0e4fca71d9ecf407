#include "stats/client_stats.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/assert.h"
#include "codec/iso_time.h"
#include "stats/client_lists.h"
#include "stats/derived.h"
#include "stats/internal/rows.h"

namespace weir::stats {
namespace {

using sqlite::Database;
using sqlite::Statement;
using PartSums = std::map<std::string, uint64_t>;

// All statements see one state of the database, for as long as the patience lasts.
//
// Ownership: borrows the Database. Threading: that of the Database.
class PatientRead {
 public:
  static base::Result<PatientRead> begin(Database& database, const base::Clock& clock) {
    database.set_deadline(clock, clock.monotonic() + kClientsPatience, nullptr);
    PatientRead read{database};
    WEIR_TRY(database.execute("BEGIN"));
    return read;
  }
  ~PatientRead() {
    if (database_ == nullptr) return;
    database_->clear_deadline();
    static_cast<void>(database_->execute("ROLLBACK"));  // Without one it is an error, and harmless.
  }
  PatientRead(PatientRead&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  PatientRead& operator=(PatientRead&&) = delete;

 private:
  explicit PatientRead(Database& database) : database_(&database) {}
  Database* database_;
};

// The events of a day that has no lists yet.
struct UnlistedDay {
  int64_t first_seq = 0;
  int64_t last_seq = 0;
  int64_t day = 0;
};

// None: the day has lists, or no events.
base::Result<std::optional<UnlistedDay>> unlisted(Database& database, int64_t day) {
  const Database::Borrowed query = WEIR_TRY(database.cached(
      "SELECT (SELECT min(zone) FROM event_zones WHERE ts_max >= ?1 * 86400000) * 8192,"
      " (SELECT max(zone) FROM event_zones WHERE ts_min < (?1 + 1) * 86400000) * 8192 + 8191"
      " WHERE NOT EXISTS (SELECT 1 FROM listed_days WHERE day = ?1)"));
  query->bind(1, day);
  if (!WEIR_TRY(query->step())) return std::optional<UnlistedDay>{};
  if (query->column_type(0) == sqlite::ColumnType::null ||
      query->column_type(1) == sqlite::ColumnType::null) {
    return std::optional<UnlistedDay>{};
  }
  return std::optional<UnlistedDay>{UnlistedDay{query->column_int(0), query->column_int(1), day}};
}

void bind_day(Statement& statement, const UnlistedDay& day) {
  statement.bind(1, day.first_seq);
  statement.bind(2, day.last_seq);
  statement.bind(3, day.day * codec::kMsPerDay);
  statement.bind(4, (day.day + 1) * codec::kMsPerDay);
}

std::vector<ClientPart> most_of(const PartSums& sums, size_t count) {
  std::vector<ClientPart> parts;
  for (const auto& [name, requests] : sums)
    parts.push_back({name, requests});
  std::stable_sort(parts.begin(), parts.end(), [](const ClientPart& a, const ClientPart& b) {
    return a.requests > b.requests;
  });
  parts.resize(std::min(parts.size(), count));
  return parts;
}

// [{"code":"DE","count":3}, ...], as client_lists has them. What is damaged is left out.
void add_listed(PartSums& sums, std::string_view json, const char* name) {
  const auto list = nlohmann::json::parse(json, nullptr, false);
  if (!list.is_array()) return;
  for (const auto& each : list) {
    if (!each.is_object() || !each.contains(name) || !each[name].is_string()) continue;
    if (!each.contains("count") || !each["count"].is_number_unsigned()) continue;
    sums[each[name].get<std::string>()] += each["count"].get<uint64_t>();
  }
}

void raise(std::optional<uint64_t>& most, uint64_t count) {
  most = std::max(most.value_or(0), count);
}

// What is known of a client beside its counts, as it is gathered.
struct Known {
  std::string ip;
  std::map<int64_t, uint64_t> unique_paths;  // By day.
  PartSums countries;
  PartSums user_agents;
};

std::optional<uint64_t> most_paths(const Known& known) {
  std::optional<uint64_t> most;
  for (const auto& [day, count] : known.unique_paths)
    raise(most, count);
  return most;
}

// Days from the newest: the address is the newest one.
base::Status add_lists(Database& database, uint64_t client, int64_t day, Known& known) {
  const Database::Borrowed query = WEIR_TRY(database.cached(
      "SELECT c.ip, l.unique_paths, l.countries, l.user_agents FROM client_daily c LEFT JOIN"
      " client_lists l ON l.day = c.day AND l.client = c.client WHERE c.day = ?1 AND c.client = "
      "?2"));
  query->bind(1, day);
  query->bind(2, static_cast<int64_t>(client));
  if (!WEIR_TRY(query->step())) return {};
  if (known.ip.empty()) known.ip = internal::address_of(*query, 0);
  if (query->column_type(1) == sqlite::ColumnType::null) return {};
  known.unique_paths[day] = query->column_unsigned(1);
  add_listed(known.countries, query->column_text(2), "code");
  add_listed(known.user_agents, query->column_text(3), "ua");
  return {};
}

// The paths and countries of the clients of `known` on a day without lists.
base::Status add_unlisted(Database& database, const UnlistedDay& day,
                          std::map<uint64_t, Known>& known) {
  nlohmann::json hashes = nlohmann::json::array();
  for (const auto& [client, each] : known)
    hashes.push_back(static_cast<int64_t>(client));
  const std::string clients = hashes.dump();
  {
    const Database::Borrowed query = WEIR_TRY(database.cached(
        "SELECT client, count(DISTINCT path_id) FROM events WHERE seq BETWEEN ?1 AND ?2"
        " AND ts_ms >= ?3 AND ts_ms < ?4 AND client IN (SELECT value FROM json_each(?5))"
        " AND path_id IS NOT (SELECT path_id FROM paths WHERE path = '__other__')"
        " GROUP BY client"));
    bind_day(*query, day);
    query->bind_text(5, clients);
    while (WEIR_TRY(query->step()))
      known[query->column_unsigned(0)].unique_paths[day.day] = query->column_unsigned(1);
  }
  const Database::Borrowed query = WEIR_TRY(database.cached(
      "SELECT client, CASE typeof(country) WHEN 'integer' THEN (SELECT word FROM words"
      " WHERE word_id = country) ELSE country END, requests FROM (SELECT client, country,"
      " count(*) AS requests FROM events WHERE seq BETWEEN ?1 AND ?2 AND ts_ms >= ?3 AND ts_ms < ?4"
      " AND client IN (SELECT value FROM json_each(?5)) AND country IS NOT NULL"
      " GROUP BY client, country)"));
  bind_day(*query, day);
  query->bind_text(5, clients);
  while (WEIR_TRY(query->step())) {
    known[query->column_unsigned(0)].countries[std::string{query->column_text(1)}] +=
        query->column_unsigned(2);
  }
  return {};
}

ClientCounts counts_of(const Statement& row, int first) {
  return {row.column_unsigned(first), row.column_unsigned(first + 1),
          row.column_unsigned(first + 2), row.column_unsigned(first + 3)};
}

void bind_clients(Statement& statement, const ClientsQuery& query) {
  statement.bind(1, query.last_day - query.days + 1);
  statement.bind(2, query.last_day);
  // As signed numbers the upper half comes first; a prefix lies in one of the halves.
  const bool all = query.hash_min == 0 && query.hash_max == ClientsQuery{}.hash_max;
  statement.bind(3,
                 all ? std::numeric_limits<int64_t>::min() : static_cast<int64_t>(query.hash_min));
  statement.bind(4,
                 all ? std::numeric_limits<int64_t>::max() : static_cast<int64_t>(query.hash_max));
  statement.bind(5, static_cast<int64_t>(kOtherClient));
}

base::Result<std::vector<ClientRowOfDays>> sums_of(Database& database, const ClientsQuery& query) {
  std::vector<ClientRowOfDays> rows;
  // Errors or requests come first; the hash in unsigned order last.
  const Database::Borrowed sums = WEIR_TRY(database.cached(
      "SELECT client, sum(requests) AS requests, sum(errors) AS errors, sum(blocked),"
      " sum(throttled), min(first_ms), max(last_ms) FROM client_daily"
      " WHERE day BETWEEN ?1 AND ?2 AND client BETWEEN ?3 AND ?4 AND client <> ?5 GROUP BY client"
      " ORDER BY CASE ?6 WHEN 0 THEN sum(requests) ELSE sum(errors) END DESC, client < 0, client"
      " LIMIT ?7 OFFSET ?8"));
  bind_clients(*sums, query);
  sums->bind(6, query.sort == ClientSort::requests ? 0 : 1);
  sums->bind(7, static_cast<int64_t>(query.limit));
  sums->bind(8, static_cast<int64_t>(query.offset));
  while (WEIR_TRY(sums->step())) {
    rows.push_back({.client = sums->column_unsigned(0),
                    .counts = counts_of(*sums, 1),
                    .first_ms = sums->column_int(5),
                    .last_ms = sums->column_int(6)});
  }
  return rows;
}

// A day's paths or user agents of one client, from its lists or detail rows.
base::Status add_paths(Database& database, uint64_t client, int64_t day,
                       const std::optional<UnlistedDay>& detail, PartSums& paths) {
  if (!detail) {
    const Database::Borrowed query =
        WEIR_TRY(database.cached("SELECT p.path, l.requests FROM client_paths l JOIN paths p"
                                 " ON p.path_id = l.path_id WHERE l.day = ?1 AND l.client = ?2"));
    query->bind(1, day);
    query->bind(2, static_cast<int64_t>(client));
    while (WEIR_TRY(query->step()))
      paths[std::string{query->column_text(0)}] += query->column_unsigned(1);
    return {};
  }
  const Database::Borrowed query = WEIR_TRY(database.cached(
      "SELECT (SELECT path FROM paths p WHERE p.path_id = e.path_id), requests FROM"
      " (SELECT path_id, count(*) AS requests FROM events WHERE seq BETWEEN ?1 AND ?2"
      "  AND ts_ms >= ?3 AND ts_ms < ?4 AND client = ?5"
      "  AND path_id IS NOT (SELECT path_id FROM paths WHERE path = '__other__')"
      "  GROUP BY path_id ORDER BY requests DESC, path_id LIMIT ?6) e"));
  bind_day(*query, *detail);
  query->bind(5, static_cast<int64_t>(client));
  query->bind(6, static_cast<int64_t>(kListedPaths));
  while (WEIR_TRY(query->step()))
    paths[std::string{query->column_text(0)}] += query->column_unsigned(1);
  return {};
}

base::Status add_user_agents(Database& database, uint64_t client, const UnlistedDay& detail,
                             PartSums& user_agents) {
  const Database::Borrowed query = WEIR_TRY(database.cached(
      "SELECT CASE typeof(ua) WHEN 'integer' THEN (SELECT word FROM words WHERE word_id = ua)"
      " ELSE ua END, requests FROM (SELECT ua, count(*) AS requests FROM events"
      " WHERE seq BETWEEN ?1 AND ?2 AND ts_ms >= ?3 AND ts_ms < ?4 AND client = ?5"
      " AND ua IS NOT NULL GROUP BY ua ORDER BY requests DESC, ua LIMIT ?6)"));
  bind_day(*query, detail);
  query->bind(5, static_cast<int64_t>(client));
  query->bind(6, static_cast<int64_t>(kListedUserAgents));
  while (WEIR_TRY(query->step())) {
    user_agents[std::string{query->column_text(0).substr(0, kListedUserAgentBytes)}] +=
        query->column_unsigned(1);
  }
  return {};
}

// The row of one day; false: the client made no request on it.
base::Result<bool> add_day(Database& database, uint64_t client, int64_t day, ClientDetail& detail) {
  const Database::Borrowed query =
      WEIR_TRY(database.cached("SELECT requests, errors, blocked, throttled, first_ms, last_ms"
                               " FROM client_daily WHERE day = ?1 AND client = ?2"));
  query->bind(1, day);
  query->bind(2, static_cast<int64_t>(client));
  if (!WEIR_TRY(query->step())) return false;
  const ClientDay& row =
      detail.days.emplace_back(ClientDay{.day = day, .counts = counts_of(*query, 0)});
  ClientRowOfDays& sum = detail.sum;
  sum.counts.requests += row.counts.requests;
  sum.counts.errors += row.counts.errors;
  sum.counts.blocked += row.counts.blocked;
  sum.counts.throttled += row.counts.throttled;
  const bool is_first = detail.days.size() == 1;
  sum.first_ms = is_first ? query->column_int(4) : std::min(sum.first_ms, query->column_int(4));
  sum.last_ms = is_first ? query->column_int(5) : std::max(sum.last_ms, query->column_int(5));
  return true;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

}  // namespace

double ClientCounts::percent(uint64_t part) const {
  if (requests == 0) return 0;
  return std::round(static_cast<double>(part) * 1000.0 / static_cast<double>(requests)) / 10.0;
}

std::vector<std::string> ClientCounts::suspicious() const {
  std::vector<std::string> reasons;
  if (requests > kSuspiciousRequests)
    reasons.push_back(fmt::format("more than {} requests", kSuspiciousRequests));
  if (requests > kSuspiciousErrorRequests && errors * 100 > requests * kSuspiciousErrorPercent)
    reasons.push_back(fmt::format("more than {} % errors", kSuspiciousErrorPercent));
  return reasons;
}

bool search_clients(std::string_view prefix, ClientsQuery& query) {
  constexpr size_t kDigits = 16;
  if (prefix.size() < kSearchDigitsMin || prefix.size() > kDigits) return false;
  uint64_t min = 0;
  uint64_t max = 0;
  for (size_t at = 0; at < kDigits; ++at) {
    const int digit = at < prefix.size() ? hex_digit(prefix[at]) : 0;
    if (digit < 0) return false;
    min = min << 4U | static_cast<uint64_t>(digit);
    max = max << 4U | (at < prefix.size() ? static_cast<uint64_t>(digit) : 0xfU);
  }
  query.hash_min = min;
  query.hash_max = max;
  return true;
}

base::Result<ClientsAnswer> busiest_clients(Database& reader, const base::Clock& clock,
                                            const ClientsQuery& query) {
  WEIR_ASSERT(query.days >= 1 && query.days <= kClientDaysMax);
  WEIR_ASSERT(query.limit >= 1 && query.limit <= kClientsMax);
  const PatientRead read = WEIR_TRY(PatientRead::begin(reader, clock));
  ClientsAnswer answer;
  {
    const Database::Borrowed count = WEIR_TRY(
        reader.cached("SELECT count(DISTINCT client) FROM client_daily WHERE day BETWEEN ?1 AND ?2"
                      " AND client BETWEEN ?3 AND ?4 AND client <> ?5"));
    bind_clients(*count, query);
    if (WEIR_TRY(count->step())) answer.total = count->column_unsigned(0);
  }
  answer.clients = WEIR_TRY(sums_of(reader, query));
  std::map<uint64_t, Known> known;
  for (const ClientRowOfDays& row : answer.clients)
    known[row.client];
  if (known.empty()) return answer;
  for (int64_t day = query.last_day; day > query.last_day - query.days; --day) {
    for (auto& [client, each] : known)
      WEIR_TRY(add_lists(reader, client, day, each));
    const std::optional<UnlistedDay> detail = WEIR_TRY(unlisted(reader, day));
    if (detail) WEIR_TRY(add_unlisted(reader, *detail, known));
  }
  for (ClientRowOfDays& row : answer.clients) {
    const Known& each = known[row.client];
    row.ip = each.ip;
    row.unique_paths = most_paths(each);
    row.countries = most_of(each.countries, kListedCountries);
  }
  return answer;
}

base::Result<std::optional<ClientDetail>> client_detail(Database& reader, const base::Clock& clock,
                                                        uint64_t client, int64_t last_day) {
  const PatientRead read = WEIR_TRY(PatientRead::begin(reader, clock));
  ClientDetail detail{.sum = {.client = client}};
  std::map<uint64_t, Known> all;
  Known& known = all[client];
  PartSums paths;
  for (int64_t day = last_day; day > last_day - kClientDaysMax; --day) {
    if (!WEIR_TRY(add_day(reader, client, day, detail))) continue;
    WEIR_TRY(add_lists(reader, client, day, known));
    const std::optional<UnlistedDay> rows = WEIR_TRY(unlisted(reader, day));
    WEIR_TRY(add_paths(reader, client, day, rows, paths));
    if (!rows) continue;
    WEIR_TRY(add_unlisted(reader, *rows, all));
    WEIR_TRY(add_user_agents(reader, client, *rows, known.user_agents));
  }
  if (detail.days.empty()) return std::optional<ClientDetail>{};
  std::reverse(detail.days.begin(), detail.days.end());
  for (ClientDay& day : detail.days) {
    const auto found = known.unique_paths.find(day.day);
    if (found != known.unique_paths.end()) day.unique_paths = found->second;
  }
  detail.sum.ip = known.ip;
  detail.sum.unique_paths = most_paths(known);
  detail.sum.countries = most_of(known.countries, kListedCountries);
  detail.paths = most_of(paths, kListedPaths);
  detail.user_agents = most_of(known.user_agents, kListedUserAgents);
  return std::optional<ClientDetail>{std::move(detail)};
}

}  // namespace weir::stats
