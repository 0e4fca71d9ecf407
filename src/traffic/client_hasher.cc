#include "traffic/client_hasher.h"

#include <array>

#include "os/random.h"

namespace weir::traffic {
namespace {

constexpr size_t kKeyBytes = 32;

base::Result<std::string> make_key(os::Files& files, const std::string& directory,
                                   const std::string& path) {
  std::array<uint8_t, kKeyBytes> drawn{};
  os::secure_random(drawn);
  std::string key{reinterpret_cast<const char*>(drawn.data()), drawn.size()};
  // Under another name first: a start that is killed here must not leave half a key.
  const std::string temporary = path + ".new";
  const base::Status removed = files.remove(temporary);
  if (!removed.ok() && removed.error().code != base::ErrorCode::not_found) return removed.error();
  const auto file = WEIR_TRY(files.open(temporary, os::OpenMode::create_new));
  WEIR_TRY(file->write_at(0, key));
  WEIR_TRY(file->sync_data());
  WEIR_TRY(files.rename(temporary, path));
  WEIR_TRY(files.sync_directory(directory));
  return key;
}

}  // namespace

base::Result<ClientHasher> ClientHasher::open(os::Files& files, const std::string& directory) {
  const std::string path = directory + "/client.key";
  base::Result<std::string> key = os::read_file(files, path, kKeyBytes + 1);
  if (!key.ok() && key.error().code == base::ErrorCode::not_found) {
    key = make_key(files, directory, path);
  }
  const std::string text = WEIR_TRY(std::move(key));
  if (text.size() != kKeyBytes) {
    return base::Error{base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                       "client key, not 32 bytes"};
  }
  return ClientHasher{text};
}

uint64_t ClientHasher::hash(std::string_view address) const {
  const codec::Digest digest = hmac_(address);
  uint64_t value = 0;
  for (size_t i = 0; i < sizeof value; ++i)
    value = value << 8U | digest[i];
  return value;
}

}  // namespace weir::traffic
