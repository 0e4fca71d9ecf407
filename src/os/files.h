#pragma once
// Files as the journal, keys and stores see them: an interface, so that tests can lose power at any
// operation and fail any operation (os/testing/fake_files.h), and the real one.
//
// What is durable when: a file's bytes after sync_data() returned without error; a name (created,
// renamed, removed) after sync_directory() of its directory. Nothing before. After a sync_data()
// that failed nobody knows what is on the disk, and asking again may answer "yes" for bytes that
// are gone (Linux marks the pages clean): such a file is to be abandoned, never synced again.
//
// Errors of every function (Origin::storage, os_errno set):
//   not_found       the file or directory is not there.
//   conflict        create_new: the name is taken.
//   limit_exceeded  the disk or the quota is full (ENOSPC, EDQUOT, EFBIG).
//   unavailable     anything else: I/O error, permission, read-only file system.

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "os/mapped_file.h"

namespace weir::os {

// One open file, without a current position. Closed when destroyed.
// Threading: any thread; calls on overlapping bytes are the callers' to order.
class File {
 public:
  virtual ~File() = default;

  // Reads until `out` is full or the file ends; returns the bytes read. Blocks.
  virtual base::Result<size_t> read_at(uint64_t offset, std::span<char> out) = 0;

  // Writes all of `bytes`, extending the file if needed. After an error any part of them may have
  // been written. Blocks.
  virtual base::Status write_at(uint64_t offset, std::string_view bytes) = 0;

  // fdatasync: bytes and size. Blocks for the disk.
  virtual base::Status sync_data() = 0;

  virtual base::Status truncate(uint64_t bytes) = 0;

  // Reserves disk space for the first `bytes`, leaving the size as it is, so that writing them
  // cannot run out of space. A file system that cannot reserve is not an error.
  virtual base::Status allocate(uint64_t bytes) = 0;

  virtual base::Result<uint64_t> size() = 0;
};

enum class OpenMode : uint8_t {
  read,
  read_write,  // An existing file.
  create_new,  // Read and write; the name must be free. Mode 0600.
};

// Threading: any thread.
class Files {
 public:
  virtual ~Files() = default;

  virtual base::Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) = 0;

  // Creates a file of `bytes` zeros (1 or more), its space reserved, and maps it shared, readable
  // and writable. The name must be free. The file exists even where mapping it failed: remove it.
  virtual base::Result<std::unique_ptr<MappedFile>> map_new(const std::string& path,
                                                            size_t bytes) = 0;
  // Maps an existing file in its whole size (not 0).
  virtual base::Result<std::unique_ptr<MappedFile>> map_existing(const std::string& path) = 0;

  virtual base::Status rename(const std::string& from, const std::string& to) = 0;
  virtual base::Status remove(const std::string& path) = 0;
  // Mode 0700. An existing directory is not an error; the parent must exist.
  virtual base::Status create_directory(const std::string& path) = 0;
  virtual base::Status sync_directory(const std::string& path) = 0;

  // Names (not paths) of everything in the directory except "." and "..", sorted.
  virtual base::Result<std::vector<std::string>> list(const std::string& path) = 0;

  // What an unprivileged process may still allocate on the file system of `path`.
  virtual base::Result<uint64_t> free_bytes(const std::string& path) = 0;
};

// Threading: any thread.
class RealFiles final : public Files {
 public:
  base::Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override;
  base::Result<std::unique_ptr<MappedFile>> map_new(const std::string& path, size_t bytes) override;
  base::Result<std::unique_ptr<MappedFile>> map_existing(const std::string& path) override;
  base::Status rename(const std::string& from, const std::string& to) override;
  base::Status remove(const std::string& path) override;
  base::Status create_directory(const std::string& path) override;
  base::Status sync_directory(const std::string& path) override;
  base::Result<std::vector<std::string>> list(const std::string& path) override;
  base::Result<uint64_t> free_bytes(const std::string& path) override;
};

// Reads a whole small file. Errors: as above; limit_exceeded when it holds more than `bytes_max`.
base::Result<std::string> read_file(Files& files, const std::string& path, size_t bytes_max);

// Changes whenever the machine starts: memory that was mapped from a file and never synced can be
// believed only while it stays the same. Empty when the kernel does not say.
std::string boot_id(Files& files);

}  // namespace weir::os
