#pragma once
// One whole number that many may change at once: the founding system's `global-counter` (spec 7.1).
// Each operation returns the value that it made, so no two increments see the same one.
//
// To be answered only when it cannot be lost: change, Keeper::save(), answer (state.h says why that
// suffices).

#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/thread_annotations.h"
#include "state/state.h"

namespace weir::state {

// Ownership: owns its name.
// Threading: any thread; restore() before any other thread knows the counter. Critical sections of
//   a few instructions.
// Limits: the value is a signed 64-bit number; a change beyond is refused and changes nothing.
class Counter final : public Kept {
 public:
  explicit Counter(std::string name = "counter/global-counter") : name_(std::move(name)) {}

  // The value after the change. Errors: limit_exceeded (Origin::client, Retry::never): see Limits.
  base::Result<int64_t> increment() { return add(1); }
  base::Result<int64_t> decrement() { return add(-1); }  // May go below zero.
  // Sets it to 0, which it returns.
  int64_t reset();

  int64_t value() const;

  std::string_view name() const override { return name_; }
  uint64_t generation() const override;
  Image image() const override;
  base::Status restore(std::string_view bytes) override;

 private:
  base::Result<int64_t> add(int64_t change);

  const std::string name_;
  mutable base::Mutex mutex_;
  int64_t value_ WEIR_GUARDED_BY(mutex_) = 0;
  uint64_t generation_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::state
