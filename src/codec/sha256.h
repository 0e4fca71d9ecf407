#pragma once
// SHA-256 and HMAC-SHA-256. The only user of OpenSSL's digests; memory is all that can fail there,
// so the functions have no errors.

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

struct evp_mac_ctx_st;
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

// HMAC-SHA-256 (RFC 2104) with a key, of 1 byte or more, that is prepared once: finding the
// algorithm and hashing the key cost more than hashing an address.
// Threading: any thread.
class HmacSha256 {
 public:
  explicit HmacSha256(std::string_view key);
  Digest operator()(std::string_view bytes) const;

 private:
  std::shared_ptr<const evp_mac_ctx_st> prepared_;
};

// Compares in a time that does not depend on where they differ.
bool equal_in_constant_time(std::string_view a, std::string_view b);

inline std::string_view as_text(const Digest& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

}  // namespace weir::codec
