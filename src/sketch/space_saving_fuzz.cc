// Goal: decode() accepts only what encode() writes, whatever the bytes. Method: what it accepts is
// encoded, and must come back byte for byte; merging it with itself and asking it must be safe.

#include <string>
#include <string_view>

#include "base/assert.h"
#include "sketch/space_saving.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using weir::sketch::SpaceSaving;
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const auto sketch = SpaceSaving::decode(input);
  if (!sketch.ok()) return 0;
  std::string again;
  sketch.value().encode(again);
  WEIR_ASSERT(again == input);
  SpaceSaving twice = sketch.value();
  twice.merge(sketch.value());
  twice.add("one more");
  WEIR_ASSERT(twice.size() <= twice.capacity());
  WEIR_ASSERT(twice.top(twice.size()).size() == twice.size());
  std::string merged;
  twice.encode(merged);
  const auto back = SpaceSaving::decode(merged);
  WEIR_ASSERT(back.ok() && back.value() == twice);
  return 0;
}
