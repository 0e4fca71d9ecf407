#pragma once
// The embedded object store: one file per object in one directory (docs/formats/objects.md).
//
// A file holds the content from its first byte on, then a description (key, length, SHA-256, types,
// metadata, time) with a checksum. That content and description are one file is what makes the
// store simple: publishing is one rename.
//
//   1  create ~new-N, write the content, sync now and then
//   2  write the description, sync
//   3  under the lock: decide the condition, rename ~new-N to the object's name
//   4  sync the directory, release the lock
//
// Why an object is the old or the new one, whole, whatever happens: until 3 only ~new-N changes,
// which no key maps to; open() of the store removes it. The rename is atomic for all readers, and
// what it puts in place was synced in 2. Power lost between 3 and 4 leaves either name as the disk
// has it: the old file (nothing deletes its blocks before the rename is durable) or the new one;
// that the name ~new-N may remain beside it, as a second name for the same file, does no harm.
// If 4 fails, nobody knows which; then no call shows anything until a later sync has succeeded, so
// that no one acts on (deletes what is archived in) an object that the disk may forget. After a
// failed sync of content the file is abandoned, never synced again (os/files.h says why). Replacing
// in place, or the description in a file beside the content, would each need a log to be atomic.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/thread_annotations.h"
#include "objects/objects.h"
#include "os/files.h"

namespace weir::objects {

enum class Access : uint8_t { read_only, read_write };

struct DirectoryOptions {
  std::string directory;  // Created where it is missing; its parent must exist.
  Access access = Access::read_write;
  uint64_t object_bytes_max = kObjectBytesMax;  // Not above it.
  uint64_t sync_bytes = kPartBytes;             // An upload syncs whenever it has written as many.
};

// Ownership: borrows files and clock.
// Threading: any thread. Commits wait for one another and for the directory's sync; so do open()
//   and list() while one is under way.
// Limits: those of objects.h. list() holds all names of the directory in memory, about 100 bytes
//   for each object, and reads them all for every page. One process may have the directory open for
//   writing (it owns the ~new-N files); others may read beside it, and may then see an object in
//   the moment between its rename and its sync.
class DirectoryStore final : public Store {
 public:
  // Removes what uploads of an earlier process left. Errors: not_found: the parent, or, for reading
  // only, the directory; unavailable.
  static base::Result<std::unique_ptr<DirectoryStore>> open(os::Files& files,
                                                            const base::Clock& clock,
                                                            DirectoryOptions options);

  base::Result<ObjectInfo> put(std::string_view key, std::string_view bytes,
                               const PutOptions& options) override;
  base::Result<std::unique_ptr<Upload>> start_put(std::string_view key,
                                                  const PutOptions& options) override;
  base::Result<std::unique_ptr<Object>> open(std::string_view key) override;
  base::Result<Listing> list(std::string_view prefix, std::string_view after,
                             size_t objects_max) override;
  base::Status remove(std::string_view key) override;

 private:
  friend class DirectoryUpload;

  DirectoryStore(os::Files& files, const base::Clock& clock, DirectoryOptions options)
      : files_(files), clock_(clock), options_(std::move(options)) {}

  std::string path(std::string_view name) const;
  base::Status prepare();
  base::Status writable() const;
  base::Status settle() WEIR_ATTRIBUTE(requires_capability(mutex_));
  base::Status decide(const std::string& file, const PutOptions& options);
  base::Status publish(const std::string& temporary, std::string_view key,
                       const PutOptions& options);
  base::Result<std::unique_ptr<Object>> open_file(const std::string& file);
  base::Result<std::vector<std::string>> names();
  std::optional<std::string> key_of_file(const std::string& name, size_t& unreadable);
  std::optional<Listed> describe(const std::string& key);

  os::Files& files_;
  const base::Clock& clock_;
  const DirectoryOptions options_;
  base::Mutex mutex_;
  bool unsynced_ WEIR_GUARDED_BY(mutex_) = false;  // Names may have changed since the last sync.
  uint64_t uploads_ WEIR_GUARDED_BY(mutex_) = 0;
};

}  // namespace weir::objects
