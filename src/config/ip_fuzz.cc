// What is read is written in one form, which reads back to the same; and a prefix holds its
// network.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "config/ip.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::config;  // NOLINT(google-build-using-namespace): a fuzz target only.
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  if (const auto ip = parse_ip(input)) WEIR_ASSERT(parse_ip(to_string(*ip)) == ip);
  if (const auto cidr = parse_cidr(input)) {
    WEIR_ASSERT(parse_cidr(to_string(*cidr)) == cidr);
    WEIR_ASSERT(cidr->contains(cidr->network));
  }
  return 0;
}
