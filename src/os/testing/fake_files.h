#pragma once
// Files in memory that can lose power and fail on command. For tests.
//
// What the fake knows of disks: bytes are durable after a sync_data() that succeeded, names after a
// sync_directory(). When power is lost, of everything since then any part survives, chosen by a
// seed: each sector of 512 bytes, each size, each name by itself, in no order. A sync that failed
// leaves bytes that can be read and will never reach the disk, and the next sync of the same file
// says "yes" (Linux does just that). Mapped bytes reach the disk by pages, by chance, never by
// promise.

#include <cerrno>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/thread_annotations.h"
#include "os/files.h"

namespace weir::os::testing {

enum class Operation : uint8_t {
  open,
  map,
  rename,
  remove,
  create_directory,
  sync_directory,
  list,
  read,
  write,
  sync,
  truncate,
  allocate,
};

// Ownership: File and MappedFile objects borrow it: it outlives them.
// Threading: any thread, except lose_power(), which is called when nobody uses the files.
class FakeFiles final : public Files {
 public:
  explicit FakeFiles(uint64_t seed = 1) : random_(seed) {}

  // --- Files ---
  base::Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  base::Result<std::unique_ptr<MappedFile>> map_new(const std::string& path, size_t bytes) override;
  base::Result<std::unique_ptr<MappedFile>> map_existing(const std::string& path) override;
  base::Status rename(const std::string& from, const std::string& to) override;
  base::Status remove(const std::string& path) override;
  base::Status create_directory(const std::string& path) override;
  base::Status sync_directory(const std::string& path) override;
  base::Result<std::vector<std::string>> list(const std::string& path) override;
  base::Result<uint64_t> free_bytes(const std::string& path) override;

  // --- Faults ---
  // Operations are counted from 0 over all files. The nth one fails, alone.
  void fail_operation(uint64_t n, int error_number = EIO);
  // The nth and all after it fail and change nothing: the machine has lost power at that moment.
  void fail_from(uint64_t n, int error_number = EIO);
  // Every operation of this kind fails from now on.
  void fail_kind(Operation kind, int error_number = EIO);
  void heal();  // No more failures.
  uint64_t operations() const;
  bool injected() const;  // Some operation has failed on command since heal().

  // --- Space ---
  void set_capacity(uint64_t bytes);

  // --- Power ---
  // The machine restarts: what was not durable is gone, or not, as `seed` says; the boot id
  // changes. Requires that nobody holds a File or MappedFile.
  void lose_power(uint64_t seed);

  // --- Bytes ---
  bool exists(const std::string& path) const;
  // The file as a process sees it; writing there is damage that nobody noticed. Empty: no such
  // file.
  std::span<char> bytes(const std::string& path);
  std::vector<std::string> paths() const;

 private:
  friend class FakeFile;
  friend class FakeMappedFile;

  struct Inode {
    std::vector<char> cache;    // What a process sees.
    std::vector<char> durable;  // What the disk holds.
    std::set<uint64_t> dirty;   // Sectors written since the last sync.
    uint64_t reserved = 0;
    int links = 0;
    int open = 0;
    bool mapped = false;
    bool from_kernel = false;
  };
  struct NameChange {
    std::string name;
    Inode* inode;  // nullptr: the name goes.
  };

  std::optional<base::Error> fault(Operation kind) WEIR_ATTRIBUTE(requires_capability(mutex_));
  Inode& make(const std::string& path) WEIR_ATTRIBUTE(requires_capability(mutex_));
  void link(const std::string& path, Inode* inode) WEIR_ATTRIBUTE(requires_capability(mutex_));
  uint64_t used() const WEIR_ATTRIBUTE(requires_capability(mutex_));
  base::Status grow(Inode& inode, uint64_t reserved) WEIR_ATTRIBUTE(requires_capability(mutex_));
  base::Status write(Inode& inode, uint64_t offset, std::string_view bytes);
  base::Status sync(Inode& inode);

  mutable base::Mutex mutex_;
  base::Random random_ WEIR_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<Inode>> inodes_ WEIR_GUARDED_BY(mutex_);
  std::map<std::string, Inode*> names_ WEIR_GUARDED_BY(mutex_);
  std::map<std::string, Inode*> durable_names_ WEIR_GUARDED_BY(mutex_);
  std::map<std::string, std::vector<NameChange>> pending_ WEIR_GUARDED_BY(mutex_);  // By directory.
  std::set<std::string> directories_ WEIR_GUARDED_BY(mutex_);
  uint64_t capacity_ WEIR_GUARDED_BY(mutex_) = UINT64_MAX;
  uint64_t operations_ WEIR_GUARDED_BY(mutex_) = 0;
  uint64_t fail_at_ WEIR_GUARDED_BY(mutex_) = UINT64_MAX;
  uint64_t fail_from_ WEIR_GUARDED_BY(mutex_) = UINT64_MAX;
  std::map<Operation, int> fail_kinds_ WEIR_GUARDED_BY(mutex_);
  int fail_errno_ WEIR_GUARDED_BY(mutex_) = EIO;
  bool injected_ WEIR_GUARDED_BY(mutex_) = false;
  int boots_ WEIR_GUARDED_BY(mutex_) = 1;
};

}  // namespace weir::os::testing
