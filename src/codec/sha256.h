#pragma once
// SHA-256 and HMAC-SHA-256. The only user of OpenSSL's digests; memory is all that can fail there,
// so the functions have no errors.

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

struct evp_md_ctx_st;

namespace weir::codec {

using Digest = std::array<uint8_t, 32>;

// A digest of bytes that come in pieces.
// Threading: one thread at a time.
class Sha256 {
 public:
  Sha256();
  void update(std::string_view bytes);
  Digest finish();  // Once; then the object may only be destroyed.

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

Digest sha256(std::string_view bytes);
Digest hmac_sha256(std::string_view key, std::string_view bytes);

// Compares in a time that does not depend on where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

inline std::string_view as_text(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace weir::codec
