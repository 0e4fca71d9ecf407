#include "os/random.h"

#include <cerrno>

#include <sys/random.h>

#include "base/assert.h"

namespace weir::os {

void secure_random(std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno == EINTR) continue;
    WEIR_ASSERT(got > 0);
    out = out.subspan(static_cast<size_t>(got));
  }
}

uint64_t secure_random_u64() {
  uint64_t value = 0;
  secure_random({reinterpret_cast<uint8_t*>(&value), sizeof value});
  return value;
}

}  // namespace weir::os
