#pragma once
// One database of addresses and their places, in the MaxMind format (.mmdb), read into memory.
//
// libmaxminddb only reads files, by mapping them; a mapped file that somebody truncates in place,
// as a copy over it does, kills the process (SIGBUS) at the next look-up. So the file is copied
// into anonymous memory (memfd), which is sealed and mapped instead: nothing that happens to the
// file afterwards changes an answer. The whole of it is checked before it is believed: every node
// of its tree, and of every record what is asked for.
//
// Layouts of records, by where the country and the city are:
//   country.iso_code, city.names.en    MaxMind (GeoLite2, GeoIP2), DB-IP
//   country_code, city                 @ip-location-db
//   country, city                      IPinfo
//
// Continents are config/country.h's: the same rule must not mean something else with another file.
//
// Source: MaxMind DB File Format 2.0.

#include <cstdint>
#include <memory>
#include <string>

#include "base/result.h"
#include "geo/places.h"

namespace weir::geo {

// Of a file, as far as a change of it shows.
struct FileIdentity {
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t bytes = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;  // Of the inode: also where the time of modification was set back.
  bool operator==(const FileIdentity&) const = default;
};

// Errors: not_found, unavailable, with the errno.
base::Result<FileIdentity> identify_file(const std::string& path);

// Ownership: owns its memory.
// Threading: immutable after construction: any thread.
// Limits: kBytesMax; the memory that it takes is the file's size. libmaxminddb 1.7 leaks some 5 KiB
//   for a file whose metadata is damaged, which is why such a file is opened once.
class Database final : public Places {
 public:
  static constexpr uint64_t kBytesMax = 1ULL << 30U;

  // Blocks: reads and checks all of the file, some 10 ms for 5 MB.
  // Errors (Origin::storage): not_found and unavailable, with the errno; unavailable too where the
  // file changed while it was read (ask again); limit_exceeded; corrupt: no database, or a damaged
  // one; invalid_input: one without countries.
  static base::Result<std::shared_ptr<const Database>> open(const std::string& path);
  ~Database() override;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Nothing is known of addresses that the database does not have. 0.2 µs.
  Place find(const config::IpAddress& ip) const WEIR_LIFETIMEBOUND override;

  const FileIdentity& identity() const { return identity_; }
  const std::string& type() const { return type_; }  // As it says: "GeoLite2-City".
  int64_t built_s() const;                           // Unix time.
  bool has_cities() const;                           // Any.

 private:
  struct Reader;
  explicit Database(std::unique_ptr<Reader> reader);

  std::unique_ptr<Reader> reader_;
  FileIdentity identity_;
  std::string type_;
};

}  // namespace weir::geo
