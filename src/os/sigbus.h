#pragma once
// Touching a mapped page whose storage is gone raises SIGBUS, which would kill the process. For
// registered regions the handler puts an empty anonymous page there and sets the region's flag: the
// access succeeds, on memory that no file backs, and the owner finds out when it looks.

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

namespace weir::os {

// Installs the process-wide handler, once, before the first GuardedRegion is used. A SIGBUS
// outside every region is handed to the handler that was there before (usually death).
// Threading: once, before threads start.
void install_sigbus_handler();

// Registers `region` (page-aligned) while alive. Destroy it before unmapping.
// Threading: constructor and destructor: one thread at a time; failed(): any thread.
// Limits: kRegionsMax at a time in the process; beyond it the region is not guarded (SIGBUS kills).
class GuardedRegion {
 public:
  static constexpr size_t kRegionsMax = 4096;

  explicit GuardedRegion(std::span<char> region);
  ~GuardedRegion();
  GuardedRegion(const GuardedRegion&) = delete;
  GuardedRegion& operator=(const GuardedRegion&) = delete;

  // True for good once any page of the region was replaced: what was in that page is lost, what is
  // written there will not reach the file.
  // After touching memory on the same thread this is exact; for what other threads touched it is
  // as fresh as their last release.
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  void mark_failed() { failed_.store(true, std::memory_order_relaxed); }

 private:
  // Relaxed: set by a handler that runs on the very thread whose access it interrupted, so program
  // order alone puts the flag before that thread's next look. Other threads only need it some time.
  std::atomic<bool> failed_ = false;
  size_t slot_ = SIZE_MAX;
};

}  // namespace weir::os
