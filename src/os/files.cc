#include "os/files.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "os/error.h"
#include "os/fd.h"

namespace weir::os {
namespace {

using base::Result;
using base::Status;

#if !defined(MADV_POPULATE_WRITE)
constexpr int MADV_POPULATE_WRITE = 23;  // Linux 5.14; not in every header of Debian 12.
#endif

constexpr mode_t kFileMode = 0600;
constexpr mode_t kDirectoryMode = 0700;

template <typename Call>
auto retry_interrupted(Call call) {
  auto result = call();
  while (result < 0 && errno == EINTR)
    result = call();
  return result;
}

// 0 or an errno. Space is reserved where the file system can; `size_changes` says whether the
// file's size becomes `bytes` too.
int reserve(int fd, uint64_t bytes, bool size_changes) {
  const int mode = size_changes ? 0 : FALLOC_FL_KEEP_SIZE;
  const auto length = static_cast<off_t>(bytes);
  if (retry_interrupted([&] { return ::fallocate(fd, mode, 0, length); }) == 0) return 0;
  if (errno != EOPNOTSUPP && errno != ENOSYS) return errno;
  if (!size_changes) return 0;
  return retry_interrupted([&] { return ::ftruncate(fd, length); }) == 0 ? 0 : errno;
}

class RealFile final : public File {
 public:
  explicit RealFile(Fd fd) : fd_(std::move(fd)) {}

  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const ssize_t got = ::pread(fd_.get(), out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset + done));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return storage_error(errno, "file read");
      if (got == 0) break;
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Status write_at(uint64_t offset, std::string_view bytes) override {
    while (!bytes.empty()) {
      const ssize_t put =
          ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return storage_error(errno, "file write");
      if (put == 0) return storage_error(ENOSPC, "file write");
      bytes.remove_prefix(static_cast<size_t>(put));
      offset += static_cast<uint64_t>(put);
    }
    return {};
  }

  Status sync_data() override {
    // Not repeated on EINTR: what an interrupted sync achieved is unknown, like a failed one's.
    if (::fdatasync(fd_.get()) != 0) return storage_error(errno, "file sync");
    return {};
  }

  Status truncate(uint64_t bytes) override {
    const auto length = static_cast<off_t>(bytes);
    if (retry_interrupted([&] { return ::ftruncate(fd_.get(), length); }) != 0) {
      return storage_error(errno, "file truncation");
    }
    return {};
  }

  Status allocate(uint64_t bytes) override {
    const int error = reserve(fd_.get(), bytes, false);
    if (error != 0) return storage_error(error, "file space");
    return {};
  }

  Result<uint64_t> size() override {
    struct stat status {};
    if (::fstat(fd_.get(), &status) != 0) return storage_error(errno, "file size");
    return static_cast<uint64_t>(status.st_size);
  }

 private:
  Fd fd_;
};

class RealMappedFile final : public MappedFile {
 public:
  RealMappedFile(char* data, size_t bytes) : data_(data), bytes_(bytes) {}
  ~RealMappedFile() override { ::munmap(data_, bytes_); }
  RealMappedFile(const RealMappedFile&) = delete;
  RealMappedFile& operator=(const RealMappedFile&) = delete;

  std::span<char> bytes() override { return {data_, bytes_}; }

  Status populate(size_t offset, size_t length) override {
    WEIR_ASSERT(offset <= bytes_ && length <= bytes_ - offset);
    const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
    const size_t begin = offset / page * page;
    const auto call = [&] {
      return ::madvise(data_ + begin, offset + length - begin, MADV_POPULATE_WRITE);
    };
    if (retry_interrupted(call) != 0) return storage_error(errno, "mapped pages");
    return {};
  }

 private:
  char* const data_;
  const size_t bytes_;
};

Result<std::unique_ptr<MappedFile>> map(const Fd& fd, size_t bytes) {
  void* const data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (data == MAP_FAILED) return storage_error(errno, "file mapping");
  return std::unique_ptr<MappedFile>(
      std::make_unique<RealMappedFile>(static_cast<char*>(data), bytes));
}

Result<Fd> open_fd(const std::string& path, int flags) {
  Fd fd{retry_interrupted([&] { return ::open(path.c_str(), flags | O_CLOEXEC, kFileMode); })};
  if (!fd) return storage_error(errno, "file");
  return fd;
}

}  // namespace

Result<std::unique_ptr<File>> RealFiles::open(const std::string& path, OpenMode mode) {
  int flags = O_RDONLY;
  if (mode == OpenMode::read_write) flags = O_RDWR;
  if (mode == OpenMode::create_new) flags = O_RDWR | O_CREAT | O_EXCL;
  Fd fd = WEIR_TRY(open_fd(path, flags));
  return std::unique_ptr<File>(std::make_unique<RealFile>(std::move(fd)));
}

Result<std::unique_ptr<MappedFile>> RealFiles::map_new(const std::string& path, size_t bytes) {
  WEIR_ASSERT(bytes > 0);
  const Fd fd = WEIR_TRY(open_fd(path, O_RDWR | O_CREAT | O_EXCL));
  const int error = reserve(fd.get(), bytes, true);
  if (error != 0) return storage_error(error, "file space");
  return map(fd, bytes);
}

Result<std::unique_ptr<MappedFile>> RealFiles::map_existing(const std::string& path) {
  const Fd fd = WEIR_TRY(open_fd(path, O_RDWR));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return storage_error(errno, "file size");
  if (status.st_size <= 0) return storage_error(EINVAL, "file size");
  return map(fd, static_cast<size_t>(status.st_size));
}

Status RealFiles::rename(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return storage_error(errno, "file rename");
  return {};
}

Status RealFiles::remove(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return storage_error(errno, "file removal");
  return {};
}

Status RealFiles::create_directory(const std::string& path) {
  if (::mkdir(path.c_str(), kDirectoryMode) == 0) return {};
  const int error = errno;
  struct stat status {};
  if (error == EEXIST && ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
  return storage_error(error, "directory");
}

Status RealFiles::sync_directory(const std::string& path) {
  const Fd fd = WEIR_TRY(open_fd(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return storage_error(errno, "directory sync");
  return {};
}

Result<std::vector<std::string>> RealFiles::list(const std::string& path) {
  DIR* const directory = ::opendir(path.c_str());
  if (directory == nullptr) return storage_error(errno, "directory");
  std::vector<std::string> names;
  errno = 0;
  // readdir() on a stream of its own is safe in every libc that Linux has.
  while (const dirent* const entry = ::readdir(directory)) {  // NOLINT(concurrency-mt-unsafe)
    const std::string_view name{entry->d_name};
    if (name != "." && name != "..") names.emplace_back(name);
    errno = 0;
  }
  const int error = errno;
  ::closedir(directory);
  if (error != 0) return storage_error(error, "directory");
  std::sort(names.begin(), names.end());
  return names;
}

Result<uint64_t> RealFiles::free_bytes(const std::string& path) {
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) return storage_error(errno, "file system");
  return static_cast<uint64_t>(status.f_bavail) * status.f_frsize;
}

Result<std::string> read_file(Files& files, const std::string& path, size_t bytes_max) {
  const std::unique_ptr<File> file = WEIR_TRY(files.open(path, OpenMode::read));
  // Not by size(): files under /proc say 0.
  std::string bytes(bytes_max + 1, '\0');
  bytes.resize(WEIR_TRY(file->read_at(0, bytes)));
  if (bytes.size() > bytes_max) return storage_error(EFBIG, "file larger than expected");
  return bytes;
}

std::string boot_id(Files& files) {
  const auto id = read_file(files, "/proc/sys/kernel/random/boot_id", 64);
  if (!id.ok()) return {};
  std::string text = id.value();
  while (!text.empty() && text.back() == '\n')
    text.pop_back();
  return text;
}

}  // namespace weir::os
