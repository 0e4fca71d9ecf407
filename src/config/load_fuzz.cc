// Whatever the file says: no crash, and an accepted configuration is valid, and rendered as a file
// it is read back to the same.
#include <cstddef>
#include <cstdint>

#include "base/assert.h"
#include "config/load.h"
#include "config/render.h"
#include "config/validate.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace weir::config;  // NOLINT(google-build-using-namespace): a fuzz target only.
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const LoadResult loaded = load(input, "weir.toml", {});
  for (const Problem& problem : loaded.problems)
    WEIR_ASSERT(!to_string(problem).empty());
  if (!loaded.ok()) return 0;
  WEIR_ASSERT(validate(loaded.config).empty());
  const LoadResult again = load(to_toml(loaded.config, Secrets::shown), "again.toml", {});
  WEIR_ASSERT(again.ok());
  WEIR_ASSERT(again.config == loaded.config);
  return 0;
}
