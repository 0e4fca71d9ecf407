#pragma once
// What the user typed behind `weir stats clients` and `weir stats client`.

#include <cstdint>
#include <string>

namespace weir::cli {

struct ClientOptions {
  std::string client;  // A hash or an address.
  std::string date;    // Empty: today.
  uint32_t days = 1;
  std::string sort = "requests";
  std::string search;  // Empty: all.
};

}  // namespace weir::cli
