#pragma once
// Counts what threads take from the heap: a program that links counting_allocator.cc has its global
// operator new replaced. Only watched threads are counted, and only while counting is on.

#include <cstddef>
#include <cstdint>
#include <string>

namespace weir::testing {

// The calling thread is watched from here on.
void watch_allocations_of_this_thread();

// Counts while alive.
// Threading: one at a time, on any thread.
class AllocationCount {
 public:
  AllocationCount();
  ~AllocationCount();
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;

  uint64_t allocations() const;
  // Where the first few came from.
  std::string stacks() const;
};

}  // namespace weir::testing
