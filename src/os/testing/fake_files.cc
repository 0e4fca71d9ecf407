#include "os/testing/fake_files.h"

#include <algorithm>
#include <cstring>

#include "os/error.h"

namespace weir::os::testing {
namespace {

constexpr uint64_t kSector = 512;
constexpr uint64_t kPage = 4096;
constexpr const char* kBootIdPath = "/proc/sys/kernel/random/boot_id";

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

void copy_part(const std::vector<char>& from, std::vector<char>& to, uint64_t begin,
               uint64_t length) {
  const uint64_t end = std::min<uint64_t>({begin + length, from.size(), to.size()});
  if (begin < end) std::memcpy(to.data() + begin, from.data() + begin, end - begin);
}

}  // namespace

class FakeFile final : public File {
 public:
  FakeFile(FakeFiles& files, FakeFiles::Inode& inode, bool writable)
      : files_(files), inode_(inode), writable_(writable) {
    const base::MutexLock lock{files_.mutex_};
    ++inode_.open;
  }
  ~FakeFile() override {
    const base::MutexLock lock{files_.mutex_};
    --inode_.open;
  }

  base::Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    const base::MutexLock lock{files_.mutex_};
    // What the kernel itself tells (the boot id) does not fail.
    if (!inode_.from_kernel) {
      if (const auto error = files_.fault(Operation::read)) return *error;
    }
    if (offset >= inode_.cache.size()) return size_t{0};
    const size_t bytes = std::min<uint64_t>(out.size(), inode_.cache.size() - offset);
    if (bytes > 0) std::memcpy(out.data(), inode_.cache.data() + offset, bytes);
    return bytes;
  }
  base::Status write_at(uint64_t offset, std::string_view bytes) override {
    if (!writable_) return storage_error(EBADF, "file write");
    return files_.write(inode_, offset, bytes);
  }
  base::Status sync_data() override { return files_.sync(inode_); }
  base::Status truncate(uint64_t bytes) override {
    const base::MutexLock lock{files_.mutex_};
    if (const auto error = files_.fault(Operation::truncate)) return *error;
    // A mapping keeps its memory; the size is all that readers of the file see. Enough for tests.
    WEIR_ASSERT(!inode_.mapped);
    if (bytes > inode_.cache.size()) WEIR_TRY(files_.grow(inode_, bytes));
    inode_.cache.resize(bytes);
    return {};
  }
  base::Status allocate(uint64_t bytes) override {
    const base::MutexLock lock{files_.mutex_};
    if (const auto error = files_.fault(Operation::allocate)) return *error;
    return files_.grow(inode_, bytes);
  }
  base::Result<uint64_t> size() override {
    const base::MutexLock lock{files_.mutex_};
    return uint64_t{inode_.cache.size()};
  }

 private:
  FakeFiles& files_;
  FakeFiles::Inode& inode_;
  const bool writable_;
};

class FakeMappedFile final : public MappedFile {
 public:
  FakeMappedFile(FakeFiles& files, FakeFiles::Inode& inode) : files_(files), inode_(inode) {}
  ~FakeMappedFile() override {
    const base::MutexLock lock{files_.mutex_};
    --inode_.open;
  }
  std::span<char> bytes() override { return inode_.cache; }
  base::Status populate(size_t offset, size_t length) override {
    WEIR_ASSERT(offset <= inode_.cache.size() && length <= inode_.cache.size() - offset);
    return {};
  }

 private:
  FakeFiles& files_;
  FakeFiles::Inode& inode_;
};

std::optional<base::Error> FakeFiles::fault(Operation kind) {
  const uint64_t n = operations_++;
  int error_number = 0;
  if (n == fail_at_ || n >= fail_from_) error_number = fail_errno_;
  if (const auto it = fail_kinds_.find(kind); it != fail_kinds_.end()) error_number = it->second;
  if (error_number == 0) return std::nullopt;
  injected_ = true;
  return storage_error(error_number, "injected failure");
}

FakeFiles::Inode& FakeFiles::make(const std::string& path) {
  inodes_.push_back(std::make_unique<Inode>());
  link(path, inodes_.back().get());
  return *inodes_.back();
}

void FakeFiles::link(const std::string& path, Inode* inode) {
  if (const auto it = names_.find(path); it != names_.end()) --it->second->links;
  if (inode != nullptr) {
    ++inode->links;
    names_[path] = inode;
  } else {
    names_.erase(path);
  }
  pending_[directory_of(path)].push_back({path, inode});
}

uint64_t FakeFiles::used() const {
  uint64_t sum = 0;
  for (const auto& inode : inodes_) {
    if (inode->links > 0 || inode->open > 0) {
      sum += std::max<uint64_t>(inode->reserved, inode->cache.size());
    }
  }
  return sum;
}

base::Status FakeFiles::grow(Inode& inode, uint64_t reserved) {
  const uint64_t has = std::max<uint64_t>(inode.reserved, inode.cache.size());
  if (reserved <= has) return {};
  if (reserved - has > capacity_ - std::min(capacity_, used())) {
    return storage_error(ENOSPC, "file space");
  }
  inode.reserved = reserved;
  return {};
}

base::Status FakeFiles::write(Inode& inode, uint64_t offset, std::string_view bytes) {
  const base::MutexLock lock{mutex_};
  const auto error = fault(Operation::write);
  if (error.has_value()) {
    if (operations_ > fail_from_) return *error;
    bytes = bytes.substr(0, random_.below(bytes.size() + 1));  // Some part was written.
  }
  const uint64_t end = offset + bytes.size();
  if (end > inode.cache.size()) {
    if (const base::Status grown = grow(inode, end); !grown.ok()) return grown;
    inode.cache.resize(end);
  }
  if (!bytes.empty()) {
    std::memcpy(inode.cache.data() + offset, bytes.data(), bytes.size());
    for (uint64_t sector = offset / kSector; sector <= (end - 1) / kSector; ++sector)
      inode.dirty.insert(sector);
  }
  if (error.has_value()) return *error;
  return {};
}

base::Status FakeFiles::sync(Inode& inode) {
  const base::MutexLock lock{mutex_};
  const auto error = fault(Operation::sync);
  if (error.has_value()) {
    if (operations_ > fail_from_) return *error;
    inode.dirty.clear();  // Clean pages that the disk never saw.
    return *error;
  }
  inode.durable.resize(inode.cache.size());
  if (inode.mapped) {
    inode.durable = inode.cache;
  } else {
    for (const uint64_t sector : inode.dirty)
      copy_part(inode.cache, inode.durable, sector * kSector, kSector);
  }
  inode.dirty.clear();
  return {};
}

base::Result<std::unique_ptr<File>> FakeFiles::open(const std::string& path, OpenMode mode) {
  Inode* inode = nullptr;
  {
    const base::MutexLock lock{mutex_};
    if (path == kBootIdPath) {
      inodes_.push_back(std::make_unique<Inode>());
      inode = inodes_.back().get();
      inode->from_kernel = true;
      const std::string id = "boot-" + std::to_string(boots_) + "\n";
      inode->cache.assign(id.begin(), id.end());
    } else {
      if (const auto error = fault(Operation::open)) return *error;
      const auto it = names_.find(path);
      const bool found = it != names_.end();
      if (mode == OpenMode::create_new) {
        if (found) return storage_error(EEXIST, "file");
        if (!directories_.contains(directory_of(path))) return storage_error(ENOENT, "file");
        inode = &make(path);
      } else {
        if (!found) return storage_error(ENOENT, "file");
        inode = it->second;
      }
    }
  }
  return std::unique_ptr<File>(std::make_unique<FakeFile>(*this, *inode, mode != OpenMode::read));
}

base::Result<std::unique_ptr<MappedFile>> FakeFiles::map_new(const std::string& path,
                                                             size_t bytes) {
  const base::MutexLock lock{mutex_};
  if (const auto error = fault(Operation::map)) return *error;
  if (names_.contains(path)) return storage_error(EEXIST, "file");
  if (!directories_.contains(directory_of(path))) return storage_error(ENOENT, "file");
  Inode& inode = make(path);
  WEIR_TRY(grow(inode, bytes));
  inode.cache.resize(bytes);
  inode.durable.resize(bytes);
  inode.mapped = true;
  ++inode.open;
  return std::unique_ptr<MappedFile>(std::make_unique<FakeMappedFile>(*this, inode));
}

base::Result<std::unique_ptr<MappedFile>> FakeFiles::map_existing(const std::string& path) {
  const base::MutexLock lock{mutex_};
  if (const auto error = fault(Operation::map)) return *error;
  const auto it = names_.find(path);
  if (it == names_.end()) return storage_error(ENOENT, "file");
  if (it->second->cache.empty()) return storage_error(EINVAL, "file size");
  it->second->mapped = true;
  ++it->second->open;
  return std::unique_ptr<MappedFile>(std::make_unique<FakeMappedFile>(*this, *it->second));
}

base::Status FakeFiles::rename(const std::string& from, const std::string& to) {
  const base::MutexLock lock{mutex_};
  if (const auto error = fault(Operation::rename)) return *error;
  const auto it = names_.find(from);
  if (it == names_.end()) return storage_error(ENOENT, "file rename");
  Inode* const inode = it->second;
  link(to, inode);
  link(from, nullptr);
  return {};
}

base::Status FakeFiles::remove(const std::string& path) {
  const base::MutexLock lock{mutex_};
  if (const auto error = fault(Operation::remove)) return *error;
  if (!names_.contains(path)) return storage_error(ENOENT, "file removal");
  link(path, nullptr);
  return {};
}

base::Status FakeFiles::create_directory(const std::string& path) {
  const base::MutexLock lock{mutex_};
  if (const auto error = fault(Operation::create_directory)) return *error;
  directories_.insert(path);  // Durable at once: losing whole directories teaches tests nothing.
  return {};
}

base::Status FakeFiles::sync_directory(const std::string& path) {
  const base::MutexLock lock{mutex_};
  if (const auto error = fault(Operation::sync_directory)) return *error;
  for (const NameChange& change : pending_[path]) {
    if (change.inode != nullptr) {
      durable_names_[change.name] = change.inode;
    } else {
      durable_names_.erase(change.name);
    }
  }
  pending_.erase(path);
  return {};
}

base::Result<std::vector<std::string>> FakeFiles::list(const std::string& path) {
  const base::MutexLock lock{mutex_};
  if (const auto error = fault(Operation::list)) return *error;
  if (!directories_.contains(path)) return storage_error(ENOENT, "directory");
  std::vector<std::string> result;
  for (const auto& [name, inode] : names_) {
    if (directory_of(name) == path) result.push_back(name.substr(path.size() + 1));
  }
  return result;
}

base::Result<uint64_t> FakeFiles::free_bytes(const std::string& /*path*/) {
  const base::MutexLock lock{mutex_};
  return capacity_ - std::min(capacity_, used());
}

void FakeFiles::fail_operation(uint64_t n, int error_number) {
  const base::MutexLock lock{mutex_};
  fail_at_ = n;
  fail_errno_ = error_number;
}

void FakeFiles::fail_from(uint64_t n, int error_number) {
  const base::MutexLock lock{mutex_};
  fail_from_ = n;
  fail_errno_ = error_number;
}

void FakeFiles::fail_kind(Operation kind, int error_number) {
  const base::MutexLock lock{mutex_};
  fail_kinds_[kind] = error_number;
}

void FakeFiles::heal() {
  const base::MutexLock lock{mutex_};
  fail_at_ = fail_from_ = UINT64_MAX;
  fail_kinds_.clear();
  injected_ = false;
}

uint64_t FakeFiles::operations() const {
  const base::MutexLock lock{mutex_};
  return operations_;
}

bool FakeFiles::injected() const {
  const base::MutexLock lock{mutex_};
  return injected_;
}

void FakeFiles::set_capacity(uint64_t bytes) {
  const base::MutexLock lock{mutex_};
  capacity_ = bytes;
}

void FakeFiles::lose_power(uint64_t seed) {
  const base::MutexLock lock{mutex_};
  base::Random random{seed};
  // Now and then everything survives, or nothing does; otherwise each part by itself.
  const uint64_t mood = random.below(4);
  const auto survives = [&random, mood] {
    if (mood == 0) return true;
    if (mood == 1) return false;
    return random.below(2) == 0;
  };
  for (const auto& inode : inodes_) {
    WEIR_ASSERT(inode->open == 0);
    if (inode->mapped) {
      inode->durable.resize(inode->cache.size());
      for (uint64_t page = 0; page * kPage < inode->cache.size(); ++page) {
        if (survives()) copy_part(inode->cache, inode->durable, page * kPage, kPage);
      }
    } else {
      if (inode->cache.size() != inode->durable.size() && survives()) {
        inode->durable.resize(inode->cache.size());
      }
      for (const uint64_t sector : inode->dirty) {
        if (survives()) copy_part(inode->cache, inode->durable, sector * kSector, kSector);
      }
    }
    inode->dirty.clear();
    inode->cache = inode->durable;
    inode->reserved = inode->cache.size();
    inode->links = 0;
  }
  for (const auto& [directory, changes] : pending_) {
    for (const NameChange& change : changes) {
      if (!survives()) continue;
      if (change.inode != nullptr) {
        durable_names_[change.name] = change.inode;
      } else {
        durable_names_.erase(change.name);
      }
    }
  }
  pending_.clear();
  names_ = durable_names_;
  for (const auto& [name, inode] : names_)
    ++inode->links;
  ++boots_;
}

bool FakeFiles::exists(const std::string& path) const {
  const base::MutexLock lock{mutex_};
  return names_.contains(path);
}

std::span<char> FakeFiles::bytes(const std::string& path) {
  const base::MutexLock lock{mutex_};
  const auto it = names_.find(path);
  if (it == names_.end()) return {};
  return it->second->cache;
}

std::vector<std::string> FakeFiles::paths() const {
  const base::MutexLock lock{mutex_};
  std::vector<std::string> result;
  for (const auto& [name, inode] : names_)
    result.push_back(name);
  return result;
}

}  // namespace weir::os::testing
