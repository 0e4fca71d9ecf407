#pragma once
// Name look-ups, off every loop: libc's resolver blocks, so it has a thread of its own. Names are
// looked up again every `refresh`; the last good answer of a name is kept while look-ups fail.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "gateway/endpoint_table.h"
#include "loop/loop.h"

namespace weir::app {

// All addresses of a name, in a stable order; empty if it does not resolve. May block.
using LookUp = std::function<std::vector<config::IpAddress>(const std::string& name)>;

// As libc answers. Blocks.
std::vector<config::IpAddress> look_up(const std::string& name);

// Ownership: owns its thread.
// Threading: any thread; the functions given to it run on the resolver's thread.
// Limits: kAddressesMax addresses per name.
class Resolver {
 public:
  static constexpr size_t kAddressesMax = 64;
  static constexpr std::chrono::milliseconds kRetry{1000};

  // `on_change`: addresses() has changed. False: nobody could be told; it is called again with the
  // next look-up. Errors: unavailable (out of descriptors).
  static base::Result<std::unique_ptr<Resolver>> start(base::Clock& clock,
                                                       std::function<bool()> on_change,
                                                       LookUp look_up = app::look_up);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Looks these up from now on, which are in order, each once: at once those that are new, and then
  // `on_looked` is called once. All are looked up again when a `refresh` has passed since the last
  // round, however often this is called, or in kRetry, if one of them did not resolve. Of names
  // that are not among them any more, the answers are kept until then.
  void watch(std::vector<std::string> names, std::chrono::milliseconds refresh,
             std::function<void()> on_looked);

  // The answers so far, by name; a name that is missing, or has none, does not resolve.
  gateway::Addresses addresses() const;

 private:
  Resolver(base::Clock& clock, std::unique_ptr<loop::Loop> loop, std::function<bool()> on_change,
           LookUp look_up);
  void take(std::vector<std::string> names, std::chrono::milliseconds refresh);
  void set_next_round(std::chrono::milliseconds delay);
  void look(const std::string& name);
  void go_on();
  void tell();

  base::Clock& clock_;
  std::unique_ptr<loop::Loop> loop_;  // Of our own thread; the rest belongs to it.
  const std::function<bool()> on_change_;
  const LookUp look_up_;
  std::vector<std::string> names_;
  std::chrono::milliseconds refresh_{30'000};
  std::optional<base::Monotonic> next_round_;
  size_t round_at_ = 0;       // The next of names_ in the round that is under way.
  gateway::Addresses known_;  // An empty answer: the name was looked up in vain.
  bool is_told_ = true;
  loop::Alarm again_;
  std::atomic<bool> stopping_{false};  // Relaxed: looked at between look-ups, which block.

  mutable base::Mutex mutex_;
  gateway::Addresses shown_ WEIR_GUARDED_BY(mutex_);  // A copy of known_, for other threads.
  std::thread thread_;
};

}  // namespace weir::app
