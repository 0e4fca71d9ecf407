#pragma once
// Large named byte strings that are written once and kept: archives and their indexes.
//
// This header is the port. `objects/directory_store.h` implements it on local files; an adapter for
// S3 fits beside it: every limit is S3's or below. Every implementation passes
// `objects/objects_contract.h`.
//
// An object appears whole, at the commit of its upload, or not at all; it is never changed in place
// and never seen in part. A reader that has opened an object reads that version to its end,
// whatever replaces it meanwhile. What open(), head() and list() show is durable.
//
// Errors of every function have Origin::storage, except those about arguments:
//   invalid_input   (Origin::client) the key or an option is not one; see check_key(), PutOptions.
//   limit_exceeded  (Origin::client, Retry::never) one of the limits below.
// and, where a function does not say more:
//   limit_exceeded  (Retry::with_backoff) the disk or the quota is full.
//   unavailable     the store does not work, or is open for reading only.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "codec/sha256.h"

namespace weir::objects {

inline constexpr size_t kKeyBytesMax = 1024;
inline constexpr size_t kWholeBytesMax = size_t{16} << 20U;       // What put() takes.
inline constexpr uint64_t kPartBytes = uint64_t{5} << 20U;        // S3's smallest part,
inline constexpr uint64_t kObjectBytesMax = kPartBytes * 10'000;  // and its number of parts.
inline constexpr size_t kPageObjectsMax = 1000;                   // What list() gives at a time.
inline constexpr size_t kContentTypeBytesMax = 128;
inline constexpr size_t kContentEncodingBytesMax = 64;
inline constexpr size_t kMetadataEntriesMax = 64;
inline constexpr size_t kMetadataBytesMax = 2048;  // All names and values together.

// Names of lower-case letters, digits, '-' and '_'; values of visible ASCII and inner spaces.
using Metadata = std::map<std::string, std::string>;

struct ObjectInfo {
  std::string key;
  uint64_t bytes = 0;
  std::string etag;        // Names this version of the object, for PutOptions::if_match. Opaque.
  codec::Digest sha256{};  // Of the content.
  std::string content_type;
  std::string content_encoding;
  Metadata metadata;
  base::Wall modified{};  // When the commit began.

  bool operator==(const ObjectInfo&) const = default;
};

// Types and encodings are visible ASCII with inner spaces, as in HTTP fields.
struct PutOptions {
  std::string content_type = "application/octet-stream";
  // For an object that is itself a compressed file (x.gz) leave it empty: some clients decompress
  // by this field, and their users then do it again.
  std::string content_encoding = {};
  Metadata metadata = {};
  // Conditions, at most one of them, decided at the commit and atomic with it.
  bool if_absent = false;     // Only where no object has this key.
  std::string if_match = {};  // Not empty: only to replace the version with this etag.
};

// An object being written. Destroying it before commit() has succeeded aborts: nothing remains
// visible, and an object that the key had stays as it is.
// Threading: one thread at a time, any.
// Limits: kObjectBytesMax in all. Buffers at most one part of kPartBytes.
class Upload {
 public:
  virtual ~Upload() = default;

  // Blocks for the store. Any error ends the upload: all that is left is to destroy it.
  // Errors: those of every function.
  virtual base::Status append(std::string_view bytes) = 0;

  // Makes the object visible, and durable before it returns. Once; then, also after an error, the
  // upload can only be destroyed. Blocks for the store.
  // Errors: conflict (Retry::never): the condition does not hold; nothing was written. corrupt: it
  //   cannot be decided, because the object there is damaged. unavailable: as everywhere, but the
  //   object may be published all the same; head() tells.
  virtual base::Result<ObjectInfo> commit() = 0;
};

// An object open for reading: one version of it.
// Threading: one thread at a time, any.
class Object {
 public:
  virtual ~Object() = default;

  virtual const ObjectInfo& info() const = 0;

  // Fills `out` from `offset` on, or as far as the object goes, and returns the bytes read: 0 at
  // its end and beyond. Does not check the content (read_object() does). Blocks for the store.
  // Errors: corrupt: the object has fewer bytes than it should. conflict: a store that keeps no
  //   replaced versions has lost this one; open it again. unavailable.
  virtual base::Result<size_t> read_at(uint64_t offset, std::span<char> out) = 0;
};

struct Listed {
  std::string key;
  uint64_t bytes = 0;
  std::string etag;  // Empty: the object cannot be read; head() says why. Other fields are unset.
  base::Wall modified{};
};

struct Listing {
  std::vector<Listed> objects;  // Ascending by the bytes of their keys.
  bool complete = true;         // False: ask again after the last key.
  size_t unreadable = 0;        // Objects in the store, of any prefix, whose keys cannot be read.
};

// Ownership: the composition root owns it; it outlives its Uploads and Objects.
// Threading: any thread.
// Limits: above; beyond them limit_exceeded, and nothing is written.
class Store {
 public:
  virtual ~Store() = default;

  // Writes a small object in one call. Errors: as Upload::commit().
  virtual base::Result<ObjectInfo> put(std::string_view key, std::string_view bytes,
                                       const PutOptions& options) = 0;

  // Begins an object of any size. Errors: those of every function.
  virtual base::Result<std::unique_ptr<Upload>> start_put(std::string_view key,
                                                          const PutOptions& options) = 0;

  // Errors: not_found. corrupt: what describes the object is damaged. unavailable.
  virtual base::Result<std::unique_ptr<Object>> open(std::string_view key) = 0;

  // Up to `objects_max` (1 or more; above kPageObjectsMax counts as that) objects whose keys begin
  // with `prefix` and come after `after`; both may be any bytes. Errors: unavailable.
  virtual base::Result<Listing> list(std::string_view prefix, std::string_view after,
                                     size_t objects_max) = 0;

  // The object is gone, durably, when it returns ok; one that was not there is gone too.
  // Errors: unavailable: it may be gone; head() tells.
  virtual base::Status remove(std::string_view key) = 0;

  // Errors: as open().
  base::Result<ObjectInfo> head(std::string_view key);

  // One read of an object: open() and read_at(), with their errors. Several such reads may see
  // several versions; to stream one, open() it.
  base::Result<size_t> get(std::string_view key, uint64_t offset, std::span<char> out);
};

// A key is a path: 1 or more segments, none of them empty, "." or "..", with '/' between them;
// valid UTF-8 without control characters (below U+0020, U+007F). Errors (Origin::client):
// invalid_input; limit_exceeded: over kKeyBytesMax.
base::Status check_key(std::string_view key);

// Errors (Origin::client): invalid_input, limit_exceeded.
base::Status check_options(const PutOptions& options);

// Takes an object's content, piece by piece. An error ends the reading and comes back from it.
using Sink = std::function<base::Status(std::string_view bytes)>;

// Streams the whole content to `sink`, in pieces of up to 64 KiB, and compares its SHA-256 with
// what the store recorded. The bytes are to be believed only when this has returned ok.
// Errors: corrupt; as Object::read_at(); the sink's.
base::Status read_object(Object& object, const Sink& sink);

// Reads an object to its end, checks it, and says what it is. Errors: as open(), read_object().
base::Result<ObjectInfo> verify(Store& store, std::string_view key);

}  // namespace weir::objects
