#pragma once
// Clients under a name that cannot be turned back into an address without this installation's key.

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "codec/sha256.h"
#include "os/files.h"

namespace weir::traffic {

// Threading: immutable after construction: any thread.
class ClientHasher {
 public:
  // Reads `directory`/client.key, or makes it of 32 random bytes, mode 0600, durable before it is
  // used. The directory must exist. Blocks for the disk.
  // Errors (Origin::storage): corrupt, the file has another size: it is neither used nor replaced,
  // because a new key would make every client a new one; else those of os/files.h.
  static base::Result<ClientHasher> open(os::Files& files, const std::string& directory);

  explicit ClientHasher(std::string_view key) : hmac_(key) {}

  // First 8 bytes of HMAC-SHA-256(key, address), big-endian. `address` in one canonical spelling:
  // equal text, equal client. About 1 µs: once per connection, not per request.
  uint64_t hash(std::string_view address) const;

 private:
  codec::HmacSha256 hmac_;
};

}  // namespace weir::traffic
