#include "stats/accumulator.h"

#include <array>
#include <cstdlib>
#include <map>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace weir::stats {
namespace {

constexpr int64_t kHourMs = 3'600'000;
constexpr int64_t kNoonMs = 20'000 * 86'400'000LL + 12 * kHourMs;

uint64_t mixed(uint64_t value) {
  value += 0x9e3779b97f4a7c15U;
  value = (value ^ (value >> 30U)) * 0xbf58476d1ce4e5b9U;
  value = (value ^ (value >> 27U)) * 0x94d049bb133111ebU;
  return value ^ (value >> 31U);
}

Fact fact(uint64_t seq, int64_t ts_ms = kNoonMs, int64_t path = 1, uint64_t client = 77) {
  return {.seq = seq, .ts_ms = ts_ms, .path_id = path, .us = 1000, .client = client, .ip = "::1"};
}

// The tables, in memory.
class FakeTables final : public DerivedSource {
 public:
  struct Client {
    uint64_t through = 0;
    uint64_t requests = 0;
    uint64_t errors = 0;
    auto operator<=>(const Client&) const = default;
  };
  base::Result<std::optional<SketchRow>> sketch_row(SketchKey key) override {
    if (failing) return kFailure;
    const auto found = sketches.find(key);
    if (found == sketches.end()) return std::optional<SketchRow>{};
    return std::optional<SketchRow>{found->second};
  }
  base::Result<uint64_t> client_through(ClientKey key) override {
    if (failing) return kFailure;
    const auto found = clients.find(key);
    return found == clients.end() ? 0 : found->second.through;
  }
  base::Status clients_of(int64_t day, ClientSet& set) override {
    if (failing) return kFailure;
    for (const auto& [key, row] : clients) {
      if (key.day == day && key.client != kOtherClient) set.insert(key.client);
    }
    return {};
  }

  void write(const Accumulator::Sketches& each) {
    sketches[each.key] = {each.through, each.latency, each.clients};
  }
  void write(const ClientRow& each) {
    Client& row = clients[each.key];
    if (row.through >= each.through) return;
    row.through = each.through;
    row.requests += each.requests;
    row.errors += each.errors;
  }

  static constexpr base::Error kFailure{base::ErrorCode::unavailable, base::Origin::storage,
                                        base::Retry::with_backoff, 0, "fake"};
  std::map<SketchKey, SketchRow> sketches;
  std::map<ClientKey, Client> clients;
  uint64_t seq = 0;
  bool failing = false;
};

// Writes up to `max` of each kind. False: the pass is over.
bool write_slice(Accumulator& accumulator, FakeTables& tables, size_t max,
                 bool acknowledge = true) {
  const auto sketches = accumulator.next_sketches(max);
  const auto clients = accumulator.next_clients(max);
  for (Accumulator::Sketches* const each : sketches) {
    EXPECT_TRUE(accumulator.complete(*each).ok());
    tables.write(*each);
  }
  for (const ClientRow* const each : clients)
    tables.write(*each);
  if (!acknowledge) return true;
  accumulator.wrote_sketches(sketches.size());
  accumulator.wrote_clients(clients.size());
  if (!accumulator.pass_written()) return true;
  tables.seq = accumulator.pass_seq();
  accumulator.end_pass();
  return false;
}

void write_all(Accumulator& accumulator, FakeTables& tables) {
  accumulator.begin_pass();
  while (write_slice(accumulator, tables, 100)) {
  }
}

TEST(AccumulatorTest, WritesWhatWasFoldedForThePathAndForAllPaths) {
  FakeTables tables;
  Accumulator accumulator{tables, {}};
  accumulator.start(0, 1);
  ASSERT_TRUE(accumulator.fold(fact(1)).ok());
  ASSERT_TRUE(accumulator.fold(fact(2, kNoonMs, 2, mixed(78))).ok());
  write_all(accumulator, tables);
  EXPECT_EQ(tables.seq, 2U);
  EXPECT_EQ(tables.sketches.size(), 3U);
  EXPECT_EQ(tables.sketches.at({kNoonMs / kHourMs, kAllPaths}).latency.count(), 2U);
  EXPECT_EQ(tables.sketches.at({kNoonMs / kHourMs, kAllPaths}).clients.estimate(), 2U);
  EXPECT_EQ(tables.clients.at({20'000, 77}).requests, 1U);
}

TEST(AccumulatorTest, AFailingSourceCountsNothingOfTheEvent) {
  FakeTables tables;
  Accumulator accumulator{tables, {}};
  accumulator.start(0, 1);
  tables.failing = true;
  EXPECT_FALSE(accumulator.fold(fact(1)).ok());
  EXPECT_EQ(accumulator.folded_through(), 0U);
  tables.failing = false;
  ASSERT_TRUE(accumulator.fold(fact(1)).ok());
  write_all(accumulator, tables);
  EXPECT_EQ(tables.sketches.at({kNoonMs / kHourMs, 1}).latency.count(), 1U);
  EXPECT_EQ(tables.clients.at({20'000, 77}).requests, 1U);
}

TEST(AccumulatorTest, ClientsOverTheDaysLimitAreCountedTogether) {
  FakeTables tables;
  Accumulator accumulator{tables, {.clients_per_day_max = 3}};
  accumulator.start(0, 1);
  for (uint64_t i = 1; i <= 5; ++i)
    ASSERT_TRUE(accumulator.fold(fact(i, kNoonMs, 1, mixed(i))).ok());
  ASSERT_TRUE(accumulator.fold(fact(6, kNoonMs, 1, mixed(1))).ok());
  write_all(accumulator, tables);
  EXPECT_EQ(tables.clients.size(), 4U);
  EXPECT_EQ(tables.clients.at({20'000, kOtherClient}).requests, 2U);
  EXPECT_EQ(tables.clients.at({20'000, mixed(1)}).requests, 2U) << "who is known stays known";
  EXPECT_EQ(tables.sketches.at({kNoonMs / kHourMs, 1}).clients.estimate(), 5U);

  // And so after a restart, which learns the day's clients from the rows.
  Accumulator next{tables, {.clients_per_day_max = 3}};
  next.start(6, 7);
  ASSERT_TRUE(next.fold(fact(7, kNoonMs, 1, mixed(9))).ok());
  write_all(next, tables);
  EXPECT_EQ(tables.clients.at({20'000, kOtherClient}).requests, 3U);
}

TEST(AccumulatorTest, MemoryStaysAtItsLimitWhateverIsFolded) {
  FakeTables tables;
  constexpr size_t kBytesMax = 1 << 20;
  Accumulator accumulator{tables, {.sketch_bytes_max = kBytesMax, .client_rows_max = 1000}};
  accumulator.start(0, 1);
  for (uint64_t seq = 1; seq <= 8000; ++seq) {
    const auto path = static_cast<int64_t>(seq);
    ASSERT_TRUE(accumulator.fold(fact(seq, kNoonMs, path, mixed(seq))).ok());
    if (accumulator.wants_pass()) write_all(accumulator, tables);
    ASSERT_LE(accumulator.sketch_bytes(), kBytesMax + 4096);
    ASSERT_LE(accumulator.client_row_count(), 1001U);
  }
  write_all(accumulator, tables);
  EXPECT_EQ(tables.sketches.size(), 8001U);
  EXPECT_EQ(tables.sketches.at({kNoonMs / kHourMs, kAllPaths}).latency.count(), 8000U);
}

TEST(AccumulatorTest, AnHourThatIsOverIsDroppedOnceItIsWritten) {
  FakeTables tables;
  Accumulator accumulator{tables, {}};
  accumulator.start(0, 1);
  ASSERT_TRUE(accumulator.fold(fact(1)).ok());
  write_all(accumulator, tables);
  ASSERT_TRUE(accumulator.fold(fact(2, kNoonMs + kHourMs)).ok());
  write_all(accumulator, tables);
  EXPECT_EQ(accumulator.find({kNoonMs / kHourMs, 1}), nullptr);
  EXPECT_NE(accumulator.find({kNoonMs / kHourMs + 1, 1}), nullptr);
  // A late event finds the row again.
  ASSERT_TRUE(accumulator.fold(fact(3)).ok());
  write_all(accumulator, tables);
  EXPECT_EQ(tables.sketches.at({kNoonMs / kHourMs, 1}).latency.count(), 2U);
}

// Goal: whatever is written, dropped, lost with the process, or written without that being known,
// the tables end up with every event exactly once.
// Method: random events, slices, kills and commits of unknown outcome against sums made afresh.
TEST(AccumulatorTest, EveryEventIsInTheTablesOnceWhateverHappens) {
  const char* const given = std::getenv("WEIR_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  for (uint64_t seed = first; seed < first + (given != nullptr ? 1 : 25); ++seed) {
    SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
    std::mt19937_64 random{seed};
    const auto below = [&random](uint64_t n) { return random() % n; };
    const Accumulator::Limits limits{.sketch_bytes_max = 2000 + below(20'000),
                                     .client_rows_max = 5 + below(50),
                                     .clients_per_day_max = 1'000'000};
    FakeTables tables;
    auto accumulator = std::make_unique<Accumulator>(tables, limits);
    accumulator->start(0, 1);
    std::vector<Fact> events;
    for (int step = 0; step < 400; ++step) {
      switch (below(8)) {
        case 0:
          accumulator->begin_pass();
          break;
        case 1:
        case 2:
          if (accumulator->passing()) {
            write_slice(*accumulator, tables, 1 + below(5), below(4) != 0);
          }
          break;
        case 3:
          if (below(4) == 0) {  // Killed: a new one starts from what the tables hold.
            accumulator = std::make_unique<Accumulator>(tables, limits);
            accumulator->start(tables.seq, events.size() + 1);
            for (size_t i = tables.seq; i < events.size(); ++i) {
              ASSERT_TRUE(accumulator->fold(events[i]).ok());
              if (below(10) == 0) accumulator->begin_pass();
              if (accumulator->passing() && below(3) == 0) write_slice(*accumulator, tables, 3);
            }
          }
          break;
        default: {
          Fact fresh =
              fact(events.size() + 1, kNoonMs + static_cast<int64_t>(below(4)) * kHourMs * 7,
                   1 + static_cast<int64_t>(below(12)), mixed(below(40)));
          fresh.us = below(100'000);
          fresh.status = std::array<uint16_t, 5>{200, 304, 403, 429, 500}[below(5)];
          events.push_back(fresh);
          ASSERT_TRUE(accumulator->fold(fresh).ok());
        }
      }
    }
    while (accumulator->passing())
      write_slice(*accumulator, tables, 7);
    write_all(*accumulator, tables);

    std::map<SketchKey, SketchRow> sketches;
    std::map<ClientKey, FakeTables::Client> clients;
    for (const Fact& each : events) {
      for (const int64_t path : {each.path_id, kAllPaths}) {
        SketchRow& row = sketches[{each.ts_ms / kHourMs, path}];
        row.through = each.seq;
        row.latency.add(each.us);
        row.clients.add(each.client);
      }
      FakeTables::Client& row = clients[{each.ts_ms / (24 * kHourMs), each.client}];
      row.through = each.seq;
      ++row.requests;
      row.errors += each.status >= 400 ? 1 : 0;
    }
    ASSERT_EQ(tables.clients, clients);
    ASSERT_EQ(tables.sketches.size(), sketches.size());
    for (const auto& [key, row] : sketches) {
      ASSERT_EQ(tables.sketches.at(key).through, row.through);
      ASSERT_EQ(tables.sketches.at(key).latency, row.latency);
      ASSERT_EQ(tables.sketches.at(key).clients, row.clients);
    }
  }
}

TEST(ClientSetTest, HoldsWhatWasInserted) {
  ClientSet set;
  std::set<uint64_t> model;
  std::mt19937_64 random{5};
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t client = random() % 3 == 0 ? random() % 100 : random();
    set.insert(client);
    model.insert(client);
    ASSERT_TRUE(set.contains(client));
  }
  EXPECT_EQ(set.size(), model.size());
  for (int i = 0; i < 1000; ++i) {
    const uint64_t client = random() % 200;
    EXPECT_EQ(set.contains(client), model.contains(client));
  }
}

}  // namespace
}  // namespace weir::stats
