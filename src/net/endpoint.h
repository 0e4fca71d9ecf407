#pragma once
// One address that an upstream is reached at, as the whole node sees it: how many connections lead
// there, and whether it is fit to be asked.
//
// Loops keep their own connections (net/upstream_pool.h); what is here is the little that must be
// counted once per node: the connection limit and health.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>

#include "base/clock.h"
#include "net/socket_address.h"

namespace weir::net {

// Ownership: the node's endpoint table, which keeps it until no loop can still use it.
// Threading: any thread. Every atomic is relaxed: each is a count or a flag of its own, and nothing
//   else is published through it.
class Endpoint {
 public:
  struct Options {
    uint32_t connections_max = 0;  // 0: no limit.
    uint32_t failures_max = 3;     // In a row, until it is ejected; 0: never.
    std::chrono::milliseconds ejected_for{10'000};
  };

  Endpoint(uint32_t index, SocketAddress address, std::string name, Options options)
      : index_(index), address_(std::move(address)), name_(std::move(name)), options_(options) {}
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  uint32_t index() const { return index_; }  // Dense; the key of per-loop tables.
  const SocketAddress& address() const { return address_; }
  const std::string& name() const { return name_; }  // "http://host:port (address)".
  const Options& options() const { return options_; }

  // Counts a connection, unless that were one too many.
  bool try_reserve() {
    const uint32_t before = connections_.fetch_add(1, std::memory_order_relaxed);
    if (options_.connections_max == 0 || before < options_.connections_max) return true;
    connections_.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  bool has_room() const {
    return options_.connections_max == 0 || connections() < options_.connections_max;
  }
  void unreserve() { connections_.fetch_sub(1, std::memory_order_relaxed); }
  uint32_t connections() const { return connections_.load(std::memory_order_relaxed); }

  // Exchanges that wait for a connection, on all loops: while there are any, no loop keeps an idle
  // connection to itself.
  void add_waiting(int change) { waiting_.fetch_add(change, std::memory_order_relaxed); }
  bool wanted() const { return waiting_.load(std::memory_order_relaxed) > 0; }

  // Active probes decide `probed_down`, failures of traffic eject for a while.
  bool usable(base::Monotonic now) const {
    return !probed_down_.load(std::memory_order_relaxed) && !ejected(now);
  }
  bool ejected(base::Monotonic now) const {
    return now.time_since_epoch().count() < ejected_until_ns_.load(std::memory_order_relaxed);
  }
  bool probed_down() const { return probed_down_.load(std::memory_order_relaxed); }
  void set_probed_down(bool down) { probed_down_.store(down, std::memory_order_relaxed); }

  void on_success() {
    if (failures_.load(std::memory_order_relaxed) != 0) {
      failures_.store(0, std::memory_order_relaxed);
    }
  }
  void on_failure(base::Monotonic now) {
    if (options_.failures_max == 0) return;
    if (failures_.fetch_add(1, std::memory_order_relaxed) + 1 < options_.failures_max) return;
    failures_.store(0, std::memory_order_relaxed);
    const auto until = now + options_.ejected_for;
    ejected_until_ns_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
  }

 private:
  const uint32_t index_;
  const SocketAddress address_;
  const std::string name_;
  const Options options_;
  std::atomic<uint32_t> connections_{0};
  std::atomic<int> waiting_{0};
  std::atomic<uint32_t> failures_{0};
  std::atomic<int64_t> ejected_until_ns_{0};
  std::atomic<bool> probed_down_{false};
};

}  // namespace weir::net
