// Goal: decode() accepts only what means one event, whatever the bytes. Method: what it accepts is
// encoded and decoded again, and must come back byte for byte.

#include <array>
#include <string_view>

#include "base/assert.h"
#include "traffic/event.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::traffic;  // NOLINT(google-build-using-namespace)
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto event = decode(input);
  if (!event.ok()) return 0;
  std::array<char, kEventBytesMax> bytes{};
  const std::string_view again{bytes.data(), encode(event.value(), bytes)};
  WEIR_ASSERT(decode(again).ok());
  std::array<char, kEventBytesMax> third{};
  WEIR_ASSERT(again == (std::string_view{third.data(), encode(decode(again).value(), third)}));
  return 0;
}
