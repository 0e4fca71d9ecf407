// Goal: decode() accepts only what encode() writes, whatever the bytes. Method: what it accepts is
// encoded, and must come back byte for byte; merging it with itself and asking it must be safe.

#include <string>
#include <string_view>

#include "base/assert.h"
#include "sketch/dd_sketch.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::sketch::DdSketch;
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto sketch = DdSketch::decode(input);
  if (!sketch.ok()) return 0;
  std::string again;
  sketch.value().encode(again);
  WEIR_ASSERT(again == input);
  DdSketch twice = sketch.value();
  twice.merge(sketch.value());
  WEIR_ASSERT(twice.count() >= sketch.value().count());
  WEIR_ASSERT(twice.quantile(0) == sketch.value().quantile(0));
  WEIR_ASSERT(twice.quantile(1) == sketch.value().quantile(1));
  WEIR_ASSERT(twice.quantile(0.5) <= twice.quantile(1));
  return 0;
}
