// Goal: stored bytes are refused or mean one thing, whatever they are. Method: the input is tried
// on every object as it is, and as a body under a good head and checksum, which mutation would
// hardly find; what is accepted must come back byte for byte.

#include <string>
#include <string_view>

#include "base/assert.h"
#include "codec/crc32c.h"
#include "state/client_paths.h"
#include "state/counter.h"
#include "state/traffic_monitor.h"

namespace {

// No image of so many bytes reaches the limits of ClientPaths, which would cut what it holds: a
// path takes 10 bytes there at least and counts as 260, of a quarter of 1 MiB.
constexpr size_t kClientsBytesMax = 8 * 1024;

using namespace weir::state;  // NOLINT(google-build-using-namespace)

void try_bytes(Kept& kept, std::string_view bytes) {
  if (kept.restore(bytes).ok()) {
    const Image image = kept.image();
    WEIR_ASSERT(image.bytes == bytes);
    WEIR_ASSERT(image.generation == kept.generation());
  } else {
    WEIR_ASSERT(kept.generation() == 0);
  }
}

std::string sealed(std::string_view body) {
  std::string bytes{"WS"};
  bytes += body;
  uint32_t checksum = weir::codec::crc32c(bytes);
  for (int at = 0; at < 4; ++at, checksum >>= 8U)
    bytes.push_back(static_cast<char>(checksum & 0xffU));
  return bytes;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer chose the name.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  const weir::base::ManualClock clock;
  for (const std::string& bytes : {std::string{input}, sealed(input)}) {
    Counter counter;
    try_bytes(counter, bytes);
    TrafficMonitor monitor{clock};
    try_bytes(monitor, bytes);
    ClientPaths clients{clock,
                        {.clients_max = 1'000'000,
                         .paths_per_client_max = 1'000'000,
                         .bytes_max = ClientPaths::kBytesMaxMost}};
    if (size <= kClientsBytesMax) try_bytes(*clients.kept().front(), bytes);
    (void)monitor.view();
    (void)clients.cleanup();
    (void)clients.top_clients(1);
  }
  return 0;
}
