#pragma once
// Name look-ups, off every loop: libc's resolver blocks, so it has a thread of its own. Names are
// looked up again every `refresh`; the last good answer of a name is kept while look-ups fail.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "gateway/endpoint_table.h"
#include "loop/loop.h"

namespace weir::app {

// Ownership: owns its thread.
// Threading: any thread; `on_change` runs on the resolver's thread.
// Limits: kAddressesMax addresses per name.
class Resolver {
 public:
  static constexpr size_t kAddressesMax = 64;

  // Errors: unavailable (out of descriptors).
  static base::Result<std::unique_ptr<Resolver>> start(
      base::Clock& clock, std::function<void(gateway::Addresses)> on_change);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Looks these up at once, one after the other, and then every `refresh`. `on_change` is called
  // with all known answers when a name has its first, after each round in which one changed, and
  // after the first round in any case.
  void watch(std::vector<std::string> names, std::chrono::milliseconds refresh);

 private:
  Resolver(std::unique_ptr<loop::Loop> loop, std::function<void(gateway::Addresses)> on_change);
  void look_all_up(bool first);

  std::unique_ptr<loop::Loop> loop_;  // Of our own thread; the rest belongs to it.
  const std::function<void(gateway::Addresses)> on_change_;
  std::vector<std::string> names_;
  std::chrono::milliseconds refresh_{30'000};
  gateway::Addresses known_;
  loop::Alarm again_;
  std::thread thread_;
};

// All addresses of `name`, in a stable order; empty if it does not resolve. Blocks.
std::vector<config::IpAddress> look_up(const std::string& name);

}  // namespace weir::app
