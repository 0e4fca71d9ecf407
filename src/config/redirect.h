#pragma once
// The template of a redirect's Location.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::config {

struct LocationPart {
  enum class Kind : uint8_t { text, path, query };
  Kind kind;
  std::string text;
  bool operator==(const LocationPart&) const = default;
};

inline constexpr size_t kLocationBytesMax = 2048;

// Literal text (visible ASCII) with `$path`, `$query` and `$$`, beginning with '/', "$path" or
// "http(s)://HOST", so that no request can choose the host it is sent to. Errors: invalid_input,
// limit_exceeded; `what` completes "the location has ...".
base::Result<std::vector<LocationPart>> parse_location(std::string_view text);

}  // namespace weir::config
