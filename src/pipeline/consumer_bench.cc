// How fast the consumer stores a backlog, and how much it writes for one event.
//
// Usage: consumer_bench [DIRECTORY] [EVENTS] [PATHS] [ROUNDS] [RULES]
// RULES: "none" (paths as they come), "built-in" (the default), "own" (20 rules of an operator
// too). Events come from memory (a journal's own reading is not measured), over PATHS paths of
// which some are much more frequent than others, 200 user agents and 50 000 clients. Each round
// starts with an empty database in DIRECTORY. Prints events per second of wall time and of CPU
// time, and bytes written per event, and at the end the medians.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/random.h"
#include "kv/sqlite_kv.h"
#include "pipeline/consumer.h"
#include "stats/sqlite_stats.h"
#include "traffic/event.h"

namespace weir::pipeline {
namespace {

class SystemClock final : public base::Clock {
 public:
  base::Monotonic monotonic() const override { return std::chrono::steady_clock::now(); }
  base::Wall wall() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
  }
};

// All records of one stream, side by side in memory.
class MemoryJournal final : public journal::Journal {
 public:
  void append(const traffic::Event& event) {
    std::array<char, traffic::kEventBytesMax> bytes{};
    ends_.push_back(bytes_.size() + traffic::encode(event, bytes));
    bytes_.append(bytes.data(), ends_.back() - bytes_.size());
  }
  size_t size() const { return ends_.size(); }

  std::vector<journal::Stream> streams() override { return {{1, 0}}; }
  base::Result<journal::Read> read(journal::Stream, uint64_t from, size_t records_max) override {
    journal::Read read{.records = {}, .next = from};
    while (read.next <= ends_.size() && read.records.size() < records_max) {
      const size_t begin = read.next == 1 ? 0 : ends_[read.next - 2];
      const size_t end = ends_[read.next - 1];
      read.records.push_back({read.next++, std::string_view{bytes_}.substr(begin, end - begin)});
    }
    read.at_end = read.next > ends_.size();
    return read;
  }
  base::Status release(journal::Stream, uint64_t) override { return {}; }
  base::Result<std::vector<journal::DegradedSide>> degraded() override {
    return std::vector<journal::DegradedSide>{};
  }
  base::Status release_degraded(journal::Stream, uint64_t) override { return {}; }

 private:
  std::string bytes_;
  std::vector<size_t> ends_;
};

void fill(MemoryJournal& journal, size_t events, size_t paths, const base::Clock& clock) {
  base::Random random{42};
  const int64_t start_us = clock.wall().time_since_epoch().count();
  for (size_t i = 0; i < events; ++i) {
    const uint64_t rank = std::min(random.below(paths), random.below(paths));
    const uint64_t client = random.below(50'000);
    const std::string path = fmt::format("/api/v1/items/{}", rank * rank / paths);
    const std::string agent = fmt::format(
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0",
        random.below(200));
    const std::string address = fmt::format("10.{}.{}.7", client >> 8U, client & 255U);
    traffic::Event event;
    event.arrival_us = start_us + static_cast<int64_t>(i * 10);
    event.id.unix_ms = static_cast<uint64_t>(event.arrival_us / 1000);
    for (size_t byte = 0; byte < 8; ++byte) {
      event.id.tail[2 + byte] = static_cast<uint8_t>(i >> (8 * (7 - byte)));
    }
    event.path = path;
    event.method = random.below(10) == 0 ? "POST" : "GET";
    event.user_agent = agent;
    event.route_id = "items";
    event.client_ip = address;
    event.client_hash = client * 0x9e3779b97f4a7c15U;
    event.duration_us = 500 + random.below(50'000);
    event.upstream_us = event.duration_us - 100;
    event.bytes_in = 200 + random.below(300);
    event.bytes_out = 500 + random.below(5000);
    event.status = random.below(50) == 0 ? 502 : 200;
    event.attempts = 1;
    journal.append(event);
  }
}

uint64_t bytes_written() {
  std::ifstream io{"/proc/self/io"};
  std::string name;
  uint64_t value = 0;
  while (io >> name >> value) {
    if (name == "wchar:") return value;
  }
  return 0;
}

struct Round {
  double per_second;
  double per_cpu_second;
  double bytes;
};

std::shared_ptr<const codec::PathTemplates> templates(std::string_view rules) {
  if (rules == "none") return nullptr;
  codec::PathTemplateOptions options;
  for (int i = 0; i < 20 && rules == "own"; ++i) {
    options.rules.push_back({fmt::format("kind{}-[a-z]+", i), fmt::format("{{kind{}}}", i)});
  }
  return codec::PathTemplates::create(options).value();
}

Round run(MemoryJournal& journal, const std::string& directory, std::string_view rules) {
  const SystemClock clock;
  base::NullLogger logger;
  const std::string path = directory + "/consumer_bench.db";
  for (const char* const suffix : {"", "-wal", "-shm"})
    std::filesystem::remove(path + suffix);
  sqlite::Database database{path, {.schemas = {kv::schema(), stats::schema()}}};
  stats::SqliteStats stats{database, 1};
  kv::SqliteKv kv{database, clock};
  Consumer consumer{journal, stats,  kv,
                    clock,   logger, {.templates = templates(rules), .hash_seed = 7}};

  const uint64_t written = bytes_written();
  const std::clock_t cpu = std::clock();
  const auto start = std::chrono::steady_clock::now();
  while (!consumer.step(Consumer::Close::now).drained) {
    if (!consumer.report().store_alarm.empty()) {
      fmt::print(stderr, "{}\n", consumer.report().store_alarm);
      std::exit(1);
    }
  }
  const std::chrono::duration<double> wall = std::chrono::steady_clock::now() - start;
  const double cpu_s = static_cast<double>(std::clock() - cpu) / CLOCKS_PER_SEC;
  const auto events = static_cast<double>(journal.size());
  return {events / wall.count(), events / cpu_s,
          static_cast<double>(bytes_written() - written) / events};
}

template <typename Member>
double median(std::vector<Round> rounds, Member member) {
  std::sort(rounds.begin(), rounds.end(),
            [member](const Round& a, const Round& b) { return a.*member < b.*member; });
  return rounds[rounds.size() / 2].*member;
}

}  // namespace
}  // namespace weir::pipeline

int main(int count, char** arguments) {
  using weir::pipeline::Round;
  const auto number = [&](int i, size_t otherwise) {
    return count > i ? static_cast<size_t>(std::atoll(arguments[i])) : otherwise;
  };
  const std::string directory = count > 1 ? arguments[1] : ".";
  const size_t events = number(2, 1'000'000);
  const size_t paths = number(3, 2'000);
  const size_t rounds_max = number(4, 3);
  weir::pipeline::MemoryJournal journal;
  weir::pipeline::fill(journal, events, paths, weir::pipeline::SystemClock{});
  std::vector<Round> rounds;
  for (size_t i = 0; i < rounds_max; ++i) {
    rounds.push_back(
        weir::pipeline::run(journal, directory, count > 5 ? arguments[5] : "built-in"));
    fmt::print("round {}: {:.0f} events/s, {:.0f} events/CPU-s, {:.0f} bytes/event\n", i + 1,
               rounds.back().per_second, rounds.back().per_cpu_second, rounds.back().bytes);
  }
  fmt::print("median: {:.0f} events/s, {:.0f} events/CPU-s, {:.0f} bytes written/event\n",
             median(rounds, &Round::per_second), median(rounds, &Round::per_cpu_second),
             median(rounds, &Round::bytes));
  return 0;
}
