#pragma once
// Writes small databases in the MaxMind format, for tests.

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/ip.h"

namespace weir::geo::testing {

// Values of the format, encoded.
std::string text_value(std::string_view text);
std::string map_value(const std::vector<std::pair<std::string, std::string>>& members);

// Records as those who publish them lay them out.
std::string maxmind_record(std::string_view country, std::string_view city = {});
std::string flat_record(std::string_view country, std::string_view city = {});

// Threading: one thread at a time.
class MmdbWriter {
 public:
  // 6: IPv4 too, as ::/96. 4: IPv4 only.
  explicit MmdbWriter(unsigned ip_version = 6) : ip_version_(ip_version) {}

  // A prefix within another one comes after it. A prefix of IPv4 is written as such.
  MmdbWriter& add(std::string_view prefix, std::string_view record);
  // The whole file.
  std::string bytes() const;

 private:
  static constexpr uint32_t kEmpty = 0;
  struct Node {
    // kEmpty; a node's number above 0; or minus one minus the offset of a record.
    std::array<int64_t, 2> next{};
  };

  const unsigned ip_version_;
  std::vector<Node> nodes_{1};
  std::string data_;
};

}  // namespace weir::geo::testing
