#include "codec/sha256.h"

#include <array>
#include <string>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/assert.h"

namespace weir::codec {

void Sha256::Free::operator()(evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  WEIR_ASSERT(context_ != nullptr);
  WEIR_ASSERT(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::update(std::string_view bytes) {
  WEIR_ASSERT(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

Digest Sha256::finish() {
  Digest digest{};
  WEIR_ASSERT(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
  return digest;
}

Digest sha256(std::string_view bytes) {
  Digest digest{};
  WEIR_ASSERT(
      EVP_Digest(bytes.data(), bytes.size(), digest.data(), nullptr, EVP_sha256(), nullptr) == 1);
  return digest;
}

HmacSha256::HmacSha256(std::string_view key) {
  EVP_MAC* const mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  WEIR_ASSERT(mac != nullptr);
  EVP_MAC_CTX* const context = EVP_MAC_CTX_new(mac);
  EVP_MAC_free(mac);  // The context keeps it.
  WEIR_ASSERT(context != nullptr);
  prepared_ = {context,
               [](const EVP_MAC_CTX* last) { EVP_MAC_CTX_free(const_cast<EVP_MAC_CTX*>(last)); }};
  std::string digest = "SHA256";
  const std::array<OSSL_PARAM, 2> parameters{
      {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest.data(), digest.size()),
       OSSL_PARAM_construct_end()}};
  WEIR_ASSERT(EVP_MAC_init(context, reinterpret_cast<const unsigned char*>(key.data()), key.size(),
                           parameters.data()) == 1);
}

Digest HmacSha256::operator()(std::string_view bytes) const {
  Digest digest{};
  size_t written = 0;
  EVP_MAC_CTX* const context = EVP_MAC_CTX_dup(prepared_.get());
  WEIR_ASSERT(context != nullptr);
  WEIR_ASSERT(EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(bytes.data()),
                             bytes.size()) == 1);
  WEIR_ASSERT(EVP_MAC_final(context, digest.data(), &written, digest.size()) == 1);
  EVP_MAC_CTX_free(context);
  return digest;
}

bool equal_in_constant_time(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace weir::codec
