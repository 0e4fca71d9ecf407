#pragma once
// Counters, gauges and histograms: counted per thread, added up when somebody reads.
//
// At start, the program declares its metrics in one Registry and takes one Shard for each thread
// that counts. A shard has one writer, so counting is a plain load, add and store in memory that no
// other thread writes: no lock, no bus-locked instruction, no shared cache line. Readers add the
// shards up and may see an increment a moment late, never half of one.
//
// Everything is an integer inside (microseconds, bytes, requests); the unit that Prometheus wants
// (seconds) is made when a histogram is rendered.
//
//   metrics::Registry registry;
//   const auto responses = registry.counters("weir_responses_total", "Responses.", "class",
//                                            {"2xx", "4xx", "5xx"});
//   metrics::Shard& shard = registry.make_shard();   // On start, one for each thread.
//   shard.add(responses[1]);                         // On that thread.
//   registry.render();                               // On any thread.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/thread_annotations.h"

namespace weir::metrics {

using Labels = std::vector<std::pair<std::string, std::string>>;

// What declaring a metric returns: small values to be kept by those who count. Only a Registry
// makes meaningful ones; a default-constructed one counts into a slot that nobody reads.
struct Counter {
  uint32_t slot = 0;
};
struct Gauge {
  uint32_t slot = 0;
};
struct Histogram {
  uint32_t slot = 0;  // One slot per bucket, one for what is above all bounds, one for the sum.
  uint32_t bound_count = 0;
  const uint64_t* bounds = nullptr;  // Ascending; upper and inclusive. The registry's.
};

// What one thread has counted. The registry owns it.
// Threading: one thread writes; any thread reads through the Registry.
class Shard {
 public:
  // Only a Registry has the key: every shard is one that is read.
  class Key {
    friend class Registry;
    Key() {}  // NOLINT(modernize-use-equals-default): else {} would make one.
  };
  Shard(Key key, size_t slot_count);
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  void add(Counter counter, uint64_t count = 1) { increase(counter.slot, count); }
  // The gauge is the sum over all shards; one shard's part may be negative.
  void add(Gauge gauge, int64_t change) { increase(gauge.slot, static_cast<uint64_t>(change)); }
  // The shard's own part of the gauge.
  void set(Gauge gauge, int64_t value) {
    slots_[gauge.slot].store(static_cast<uint64_t>(value), std::memory_order_relaxed);
  }
  void observe(Histogram histogram, uint64_t value) {
    uint32_t bucket = 0;
    while (bucket < histogram.bound_count && value > histogram.bounds[bucket])
      ++bucket;
    increase(histogram.slot + bucket, 1);
    increase(histogram.slot + histogram.bound_count + 1, value);
  }

 private:
  friend class Registry;

  // Relaxed suffices: each slot stands for itself, nothing is published through it, and only this
  // thread stores to it, so load and store need not be one step.
  void increase(uint32_t slot, uint64_t count) {
    std::atomic<uint64_t>& value = slots_[slot];
    value.store(value.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }

  // Starts on a cache line and ends with a whole one, so that no other thread's writes touch it.
  struct alignas(64) Line {
    std::atomic<uint64_t> slots[8];
  };
  std::unique_ptr<Line[]> lines_;
  std::atomic<uint64_t>* slots_;
};

// Hands one sample to a collection.
using Emit = std::function<void(const Labels& labels, double value)>;
using Collect = std::function<void(const Emit& emit)>;

enum class Kind : uint8_t { counter, gauge };

// Ownership: owns the shards and the callbacks.
// Threading: declared and given its shards on one thread, before others count; after that, reading
//   from any thread. Callbacks run on the thread that renders.
// Limits: all memory is fixed by the declarations, but for what collections emit.
class Registry {
 public:
  Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;
  ~Registry();

  // Names are checked as Prometheus wants them (counters end in "_total"), may not repeat, and must
  // be declared before the first shard is made: all this is asserted.
  Counter counter(std::string_view name, std::string_view help);
  // One counter for each value of `label`, in that order.
  std::vector<Counter> counters(std::string_view name, std::string_view help,
                                std::string_view label, const std::vector<std::string>& values);
  Gauge gauge(std::string_view name, std::string_view help);
  std::vector<Gauge> gauges(std::string_view name, std::string_view help, std::string_view label,
                            const std::vector<std::string>& values);
  // `bounds` ascend, in the unit that observe() is given; `scale` turns it into the rendered one:
  // microseconds with 1e-6 are rendered as seconds.
  Histogram histogram(std::string_view name, std::string_view help, std::vector<uint64_t> bounds,
                      double scale = 1.0);
  // Samples whose labels are known only when somebody reads (upstreams, alarms), or that somebody
  // else counts. May be declared at any time before render() is first called.
  void collect(std::string_view name, std::string_view help, Kind kind, Collect callback);

  Shard& make_shard() WEIR_LIFETIMEBOUND;

  // Sums over all shards.
  uint64_t value(Counter counter) const;
  int64_t value(Gauge gauge) const;
  uint64_t count(Histogram histogram) const;
  uint64_t sum(Histogram histogram) const;

  // The text format 0.0.4 of Prometheus, families in the order of their declaration.
  // Source: prometheus.io/docs/instrumenting/exposition_formats.
  std::string render() const;
  static constexpr std::string_view kContentType = "text/plain; version=0.0.4; charset=utf-8";

 private:
  struct Family;

  Family& declare(std::string_view name, std::string_view help);
  uint32_t take_slots(size_t count);
  uint64_t total(uint32_t slot) const;
  void render_histogram(const Family& family, std::string& out) const;

  std::vector<std::unique_ptr<Family>> families_;
  std::vector<std::unique_ptr<Shard>> shards_;
  uint32_t slot_count_ = 2;  // Slots 0 and 1 belong to default-constructed ids.
};

// Bounds in microseconds from 100 µs to 60 s, about three to a decade: for latencies.
std::vector<uint64_t> latency_bounds_us();

}  // namespace weir::metrics
