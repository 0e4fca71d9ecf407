// What the sketches cost: time per add, merge, encode and decode, and bytes in memory and encoded.
//
// Usage: sketch_bench [ROUNDS]
// Each figure is the median of ROUNDS (9) rounds, in CPU time, with the smallest and the largest.
// "spread over 10 000" adds to that many sketches in turn, as a consumer does whose paths do not
// fit the processor's caches.

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/random.h"
#include "sketch/dd_sketch.h"
#include "sketch/hyper_log_log.h"
#include "sketch/space_saving.h"

namespace weir::sketch {
namespace {

constexpr size_t kInputs = 1U << 16U;

// Latencies about `median_us`, two thirds of them within a factor of three.
std::vector<uint64_t> latencies(double median_us) {
  base::Random random{7};
  std::vector<uint64_t> values(kInputs);
  for (uint64_t& value : values) {
    double normal = -6;
    for (int i = 0; i < 12; ++i)
      normal += static_cast<double>(random.below(1U << 20U)) / (1U << 20U);
    value = static_cast<uint64_t>(median_us * std::exp(1.1 * normal));
  }
  return values;
}

std::vector<uint64_t> hashes(size_t distinct) {
  base::Random random{8};
  std::vector<uint64_t> all(distinct);
  for (uint64_t& hash : all)
    hash = random.next();
  std::vector<uint64_t> values(kInputs);
  for (size_t i = 0; i < kInputs; ++i)
    values[i] = i < distinct ? all[i] : all[random.below(distinct)];
  return values;
}

// Keeps results alive.
uint64_t g_sink = 0;  // NOLINT(cppcoreguidelines-avoid-non-const-global-variables)

double cpu_ns() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

// Prints the nanoseconds of one of the `operations` that run() does.
template <typename Run>
void measure(int rounds, const char* name, size_t operations, Run run) {
  std::vector<double> ns;
  for (int round = 0; round < rounds; ++round) {
    const double start = cpu_ns();
    run();
    ns.push_back((cpu_ns() - start) / static_cast<double>(operations));
  }
  std::sort(ns.begin(), ns.end());
  fmt::print("{:<52} {:>9.1f} ns  ({:.1f} to {:.1f})\n", name, ns[ns.size() / 2], ns.front(),
             ns.back());
}

template <typename Sketch>
void measure_whole(int rounds, const std::string& name, const Sketch& sketch) {
  constexpr size_t kTimes = 300;
  std::string bytes;
  sketch.encode(bytes);
  measure(rounds, (name + ": merge into a copy of itself").c_str(), kTimes, [&] {
    Sketch into = sketch;
    for (size_t i = 0; i < kTimes; ++i)
      into.merge(sketch);
    g_sink += into.memory_bytes();
  });
  measure(rounds, (name + ": encode").c_str(), kTimes, [&] {
    std::string out;
    for (size_t i = 0; i < kTimes; ++i) {
      out.clear();
      sketch.encode(out);
    }
    g_sink += out.size();
  });
  measure(rounds, (name + ": decode").c_str(), kTimes, [&] {
    for (size_t i = 0; i < kTimes; ++i)
      g_sink += Sketch::decode(bytes).value().memory_bytes();
  });
  fmt::print("{:<52} {:>9} bytes in memory, {} encoded\n", name, sketch.memory_bytes(),
             bytes.size());
}

template <typename Sketch>
void measure_adds(int rounds, const std::string& name, const std::vector<uint64_t>& values) {
  Sketch one;
  for (const uint64_t value : values)
    one.add(value);
  measure(rounds, (name + ": add, one sketch").c_str(), values.size(), [&] {
    for (const uint64_t value : values)
      one.add(value);
  });
  std::vector<Sketch> many(10'000);
  measure(rounds, (name + ": add, spread over 10 000").c_str(), values.size(), [&] {
    size_t at = 0;
    for (const uint64_t value : values) {
      many[at].add(value);
      if (++at == many.size()) at = 0;
    }
  });
  measure_whole(rounds, name, one);
}

void measure_dd_sketch(int rounds) {
  const std::vector<uint64_t> values = latencies(5'000);
  measure_adds<DdSketch>(rounds, "DDSketch, 65 536 latencies", values);
  for (const size_t count : {0U, 1U, 5U, 20U, 100U, 1000U}) {
    DdSketch sketch;
    for (size_t i = 0; i < count; ++i)
      sketch.add(values[i]);
    std::string bytes;
    sketch.encode(bytes);
    fmt::print("DDSketch, {:>4} latencies {:>38} bytes in memory, {} encoded\n", count,
               sketch.memory_bytes(), bytes.size());
  }
  DdSketch sketch;
  for (const uint64_t value : values)
    sketch.add(value);
  measure(rounds, "DDSketch: quantile", 1000, [&] {
    for (int i = 0; i < 1000; ++i)
      g_sink += sketch.quantile(i / 1000.0);
  });
}

void measure_hyper_log_log(int rounds) {
  for (const size_t distinct : {1U, 10U, 100U, 1000U, 3000U, 60'000U})
    measure_adds<HyperLogLog>(rounds, fmt::format("HyperLogLog, {} distinct", distinct),
                              hashes(distinct));
  HyperLogLog sketch;
  for (const uint64_t hash : hashes(60'000))
    sketch.add(hash);
  measure(rounds, "HyperLogLog: estimate, dense", 100, [&] {
    for (int i = 0; i < 100; ++i)
      g_sink += sketch.estimate();
  });
}

void measure_space_saving(int rounds) {
  std::vector<std::string> keys;
  base::Random random{9};
  for (size_t i = 0; i < kInputs; ++i)
    keys.push_back(fmt::format("/api/v1/items/{}", random.below(1 + random.below(100'000))));
  for (const uint32_t capacity : {20U, 100U, 1000U}) {
    const std::string name = fmt::format("Space-Saving, capacity {}", capacity);
    SpaceSaving sketch{capacity};
    measure(rounds, (name + ": add").c_str(), keys.size(), [&] {
      for (const std::string& key : keys)
        sketch.add(key);
    });
    measure_whole(rounds, name, sketch);
  }
}

}  // namespace
}  // namespace weir::sketch

int main(int count, char** arguments) {
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 9;
  weir::sketch::measure_dd_sketch(rounds);
  weir::sketch::measure_hyper_log_log(rounds);
  weir::sketch::measure_space_saving(rounds);
  return weir::sketch::g_sink == 1 ? 2 : 0;
}
