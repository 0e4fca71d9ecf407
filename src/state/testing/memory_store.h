#pragma once
// A Store in memory that can be told to fail.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "state/state.h"

namespace weir::state::testing {

// Threading: one thread at a time.
class MemoryStore final : public Store {
 public:
  base::Result<std::optional<std::string>> load(std::string_view name) override {
    if (fails()) return failure();
    const auto found = images.find(name);
    if (found == images.end()) return std::optional<std::string>{};
    return std::optional{found->second};
  }

  base::Status save(std::string_view name, std::string_view bytes) override {
    if (name.empty() || name.size() > kNameBytesMax || bytes.size() > kImageBytesMax) {
      return base::Error{.code = base::ErrorCode::limit_exceeded,
                         .origin = base::Origin::storage,
                         .retry = base::Retry::never,
                         .what = "state image size"};
    }
    if (fails()) return failure();
    images.insert_or_assign(std::string{name}, std::string{bytes});
    return {};
  }

  std::map<std::string, std::string, std::less<>> images;
  uint64_t operations = 0;
  std::optional<uint64_t> failing_operation;  // Counted from 0.
  bool broken = false;                        // Every operation fails.

 private:
  bool fails() {
    const uint64_t operation = operations++;
    return broken || operation == failing_operation;
  }
  static base::Error failure() {
    return {.code = base::ErrorCode::unavailable,
            .origin = base::Origin::storage,
            .retry = base::Retry::with_backoff,
            .what = "state store"};
  }
};

}  // namespace weir::state::testing
