#pragma once
// Waiting for several threads to have done something, with a limit to the patience.

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

namespace weir::base {

// Ownership: share it among all parties: one may arrive long after the waiting one gave up.
// Threading: any thread.
class Rendezvous {
 public:
  explicit Rendezvous(size_t parties) : arrived_(parties), missing_(parties) {}

  // Once per party.
  void arrive(size_t party) {
    const std::lock_guard lock{mutex_};
    arrived_[party] = true;
    if (--missing_ == 0) complete_.notify_all();
  }

  // Blocks until all have arrived, at most for `patience`. Returns who had.
  std::vector<bool> wait(std::chrono::milliseconds patience) {
    std::unique_lock lock{mutex_};
    complete_.wait_for(lock, patience, [this] { return missing_ == 0; });
    return arrived_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable complete_;
  std::vector<bool> arrived_;
  size_t missing_;
};

}  // namespace weir::base
