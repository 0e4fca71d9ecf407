// Property: the outcome does not depend on how the bytes were split. Every prefix shorter than what
// decided wants more; from there on nothing that follows changes it.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/assert.h"
#include "net/proxy_protocol.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto whole = weir::net::parse_proxy_header(input);
  bool decided = false;
  for (size_t bytes = 0; bytes <= size; ++bytes) {
    const auto part = weir::net::parse_proxy_header(input.substr(0, bytes));
    if (part.ok() && !part.value()) {
      WEIR_ASSERT(!decided);
      continue;
    }
    decided = true;
    WEIR_ASSERT(part.ok() == whole.ok());
    if (!part.ok()) continue;
    WEIR_ASSERT(whole.value() && part.value()->bytes == whole.value()->bytes);
    WEIR_ASSERT(part.value()->source == whole.value()->source);
    WEIR_ASSERT(part.value()->bytes <= bytes);
    WEIR_ASSERT(part.value()->bytes <= weir::net::kProxyHeaderBytesMax);
  }
  WEIR_ASSERT(decided == (!whole.ok() || whole.value()));
  return 0;
}
