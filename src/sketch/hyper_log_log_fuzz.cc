// Goal: decode() accepts only what encode() writes, whatever the bytes. Method: what it accepts is
// encoded, and must come back byte for byte; merging it with itself and asking it must be safe.

#include <string>
#include <string_view>

#include "base/assert.h"
#include "sketch/hyper_log_log.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::sketch::HyperLogLog;
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto sketch = HyperLogLog::decode(input);
  if (!sketch.ok()) return 0;
  std::string again;
  sketch.value().encode(again);
  WEIR_ASSERT(again == input);
  HyperLogLog twice = sketch.value();
  twice.merge(sketch.value());
  WEIR_ASSERT(twice == sketch.value());
  WEIR_ASSERT(twice.estimate() == sketch.value().estimate());
  return 0;
}
