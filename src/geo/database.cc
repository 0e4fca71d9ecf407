#include "geo/database.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <fmt/format.h>
#include <maxminddb.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fd.h"

namespace weir::geo {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Retry;

// Where a record may have what is asked for. nullptr ends a path.
using FieldPath = std::array<const char*, 4>;
constexpr std::array<FieldPath, 3> kCountryPaths{
    {{"country", "iso_code"}, {"country_code"}, {"country"}}};
constexpr std::array<FieldPath, 2> kCityPaths{{{"city", "names", "en"}, {"city"}}};

Error system_error(base::StaticText what) {
  const ErrorCode code = errno == ENOENT ? ErrorCode::not_found : ErrorCode::unavailable;
  return {code, Origin::storage, Retry::with_backoff, errno, what};
}

Error corrupt(base::StaticText what) {
  return {ErrorCode::corrupt, Origin::storage, Retry::never, 0, what};
}

FileIdentity identity_of(const struct stat& status) {
  const auto ns = [](const timespec& time) {
    return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  };
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .bytes = static_cast<uint64_t>(status.st_size),
          .modified_ns = ns(status.st_mtim),
          .changed_ns = ns(status.st_ctim)};
}

base::Result<FileIdentity> identity_of(const os::Fd& file) {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return system_error("file's status");
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::unavailable, Origin::storage, Retry::never, 0, "no regular file"};
  }
  return identity_of(status);
}

bool write_all(const os::Fd& out, const char* bytes, size_t count) {
  while (count > 0) {
    const ssize_t written = ::write(out.get(), bytes, count);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes += written;
    count -= static_cast<size_t>(written);
  }
  return true;
}

// The file's bytes in memory that nobody can change or shorten any more.
base::Result<os::Fd> copy_sealed(const os::Fd& file) {
  os::Fd memory{::memfd_create("weir-places", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  if (!memory.valid()) return system_error("memory for the database");
  std::vector<char> piece(256 * size_t{1024});
  while (true) {
    const ssize_t count = ::read(file.get(), piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_error("reading the database");
    if (count == 0) break;
    if (!write_all(memory, piece.data(), static_cast<size_t>(count))) {
      return system_error("memory for the database");
    }
  }
  if (::fcntl(memory.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return system_error("sealing the database's memory");
  }
  return memory;
}

// Text at one of the paths, or nothing. `damaged` is set where the record cannot be read.
template <size_t Count>
std::optional<std::string_view> text_at(MMDB_entry_s entry,
                                        const std::array<FieldPath, Count>& paths, bool& damaged) {
  for (const FieldPath& path : paths) {
    MMDB_entry_data_s data{};
    const int status = MMDB_aget_value(&entry, &data, path.data());
    if (status == MMDB_LOOKUP_PATH_DOES_NOT_MATCH_DATA_ERROR) continue;
    if (status != MMDB_SUCCESS) {
      damaged = true;
      return std::nullopt;
    }
    if (data.has_data && data.type == MMDB_DATA_TYPE_UTF8_STRING) {
      return std::string_view{data.utf8_string, data.data_size};
    }
  }
  return std::nullopt;
}

}  // namespace

struct Database::Reader {
  Reader() = default;
  ~Reader() {
    if (is_open) MMDB_close(&mmdb);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  base::Status open(const os::Fd& memory);
  base::Status check();
  bool check_record(uint8_t type, const MMDB_entry_s& entry);

  MMDB_s mmdb{};
  bool is_open = false;
  std::vector<bool> seen;  // Records that are checked, by their offset.
  bool has_countries = false;
  bool has_cities = false;
};

base::Status Database::Reader::open(const os::Fd& memory) {
  const std::string name = fmt::format("/proc/self/fd/{}", memory.get());
  const int status = MMDB_open(name.c_str(), MMDB_MODE_MMAP, &mmdb);
  is_open = status == MMDB_SUCCESS;
  switch (status) {
    case MMDB_SUCCESS:
      return {};
    case MMDB_FILE_OPEN_ERROR:
    case MMDB_IO_ERROR:
    case MMDB_OUT_OF_MEMORY_ERROR:
      return system_error("mapping the database (is /proc mounted?)");
    case MMDB_UNKNOWN_DATABASE_FORMAT_ERROR:
      return corrupt("a database of a version that is not known");
    default:
      return corrupt("no MaxMind database, or not all of one");
  }
}

// All of it once, so that no look-up meets what is damaged.
base::Status Database::Reader::check() {
  seen.assign(mmdb.data_section_size, false);
  for (uint32_t number = 0; number < mmdb.metadata.node_count; ++number) {
    MMDB_search_node_s node{};
    if (MMDB_read_node(&mmdb, number, &node) != MMDB_SUCCESS ||
        !check_record(node.left_record_type, node.left_record_entry) ||
        !check_record(node.right_record_type, node.right_record_entry)) {
      return corrupt("a damaged database");
    }
  }
  seen = {};
  if (has_countries) return {};
  return Error{ErrorCode::invalid_input, Origin::storage, Retry::never, 0,
               "a database without countries"};
}

bool Database::Reader::check_record(uint8_t type, const MMDB_entry_s& entry) {
  if (type == MMDB_RECORD_TYPE_INVALID) return false;
  if (type != MMDB_RECORD_TYPE_DATA) return true;
  if (entry.offset >= seen.size()) return false;
  if (seen[entry.offset]) return true;
  seen[entry.offset] = true;
  bool damaged = false;
  if (const auto code = text_at(entry, kCountryPaths, damaged)) {
    has_countries |= config::Country::of(*code).is_known();
  }
  if (text_at(entry, kCityPaths, damaged)) has_cities = true;
  return !damaged;
}

base::Result<FileIdentity> identify_file(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return system_error("file's status");
  return identity_of(status);
}

Database::Database(std::unique_ptr<Reader> reader)
    : reader_(std::move(reader)), type_(reader_->mmdb.metadata.database_type) {}

Database::~Database() = default;

base::Result<std::shared_ptr<const Database>> Database::open(const std::string& path) {
  // Not to wait for a writer, where the path is a pipe's.
  const os::Fd file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (!file.valid()) return system_error("opening the database");
  const FileIdentity identity = WEIR_TRY(identity_of(file));
  if (identity.bytes > kBytesMax) {
    return Error{ErrorCode::limit_exceeded, Origin::storage, Retry::never, 0,
                 "a database larger than 1 GiB"};
  }
  if (identity.bytes == 0) return corrupt("an empty file");
  const os::Fd memory = WEIR_TRY(copy_sealed(file));
  if (WEIR_TRY(identity_of(file)) != identity) {
    return Error{ErrorCode::unavailable, Origin::storage, Retry::with_backoff, 0,
                 "a file that is being written"};
  }
  auto reader = std::make_unique<Reader>();
  WEIR_TRY(reader->open(memory));
  WEIR_TRY(reader->check());
  std::unique_ptr<Database> database{new Database{std::move(reader)}};  // Private constructor.
  database->identity_ = identity;
  return std::shared_ptr<const Database>{std::move(database)};
}

Place Database::find(const config::IpAddress& ip) const {
  sockaddr_storage storage{};
  if (ip.is_v4()) {
    auto& address = reinterpret_cast<sockaddr_in&>(storage);
    address.sin_family = AF_INET;
    std::copy_n(ip.bytes.begin() + 12, 4, reinterpret_cast<uint8_t*>(&address.sin_addr));
  } else {
    auto& address = reinterpret_cast<sockaddr_in6&>(storage);
    address.sin6_family = AF_INET6;
    std::copy(ip.bytes.begin(), ip.bytes.end(), reinterpret_cast<uint8_t*>(&address.sin6_addr));
  }
  int status = MMDB_SUCCESS;
  // IPv6 in a database of IPv4 alone is a status, and nothing found.
  const MMDB_lookup_result_s result =
      MMDB_lookup_sockaddr(&reader_->mmdb, reinterpret_cast<const sockaddr*>(&storage), &status);
  Place place;
  if (status != MMDB_SUCCESS || !result.found_entry) return place;
  bool damaged = false;  // Nothing is: check() has read it.
  if (const auto code = text_at(result.entry, kCountryPaths, damaged)) {
    place.country = config::Country::of(*code);
  }
  if (reader_->has_cities) place.city = text_at(result.entry, kCityPaths, damaged).value_or("");
  return place;
}

bool Database::has_cities() const {
  return reader_->has_cities;
}

int64_t Database::built_s() const {
  return static_cast<int64_t>(reader_->mmdb.metadata.build_epoch);
}

}  // namespace weir::geo
