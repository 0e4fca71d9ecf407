#include "objects/directory_store.h"

#include <algorithm>
#include <optional>

#include "base/fault_point.h"
#include "objects/description.h"
#include "objects/file_name.h"

namespace weir::objects {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Result;
using base::Retry;
using base::Status;

namespace {

constexpr std::string_view kTemporaryPrefix = "~new-";

Error storage(ErrorCode code, base::StaticText what) {
  return {code, Origin::storage, Retry::never, 0, what};
}

// A file that is missing, or there, where the store did not expect it: nothing the caller asked.
Error unexpected(Error error) {
  if (error.code == ErrorCode::not_found || error.code == ErrorCode::conflict) {
    error.code = ErrorCode::unavailable;
    error.retry = Retry::with_backoff;
  }
  return error;
}

Status expected(const Status& status) {
  if (!status.ok()) return unexpected(status.error());
  return {};
}

Error too_large() {
  return {ErrorCode::limit_exceeded, Origin::client, Retry::never, 0, "object length"};
}

class DirectoryObject final : public Object {
 public:
  DirectoryObject(std::unique_ptr<os::File> file, ObjectInfo info)
      : file_(std::move(file)), info_(std::move(info)) {}

  const ObjectInfo& info() const override { return info_; }

  Result<size_t> read_at(uint64_t offset, std::span<char> out) override {
    if (offset >= info_.bytes) return size_t{0};
    const size_t wanted = std::min<uint64_t>(out.size(), info_.bytes - offset);
    const auto read = file_->read_at(offset, out.first(wanted));
    if (!read.ok()) return unexpected(read.error());
    if (read.value() != wanted) return storage(ErrorCode::corrupt, "object length");
    return wanted;
  }

 private:
  const std::unique_ptr<os::File> file_;
  const ObjectInfo info_;
};

// What a store reads of each object before anything else: the file's end.
Result<ObjectInfo> read_info(os::File& file) {
  const uint64_t size = WEIR_TRY(file.size());
  std::string end(std::min<uint64_t>(size, kTailBytesMax), '\0');
  const size_t read = WEIR_TRY(file.read_at(size - end.size(), end));
  Tail tail = WEIR_TRY(decode_tail(std::string_view{end}.substr(0, read)));
  if (tail.info.bytes + tail.bytes != size) return storage(ErrorCode::corrupt, "object length");
  return std::move(tail.info);
}

}  // namespace

//   open --append()--> open --commit()--> ended
//     +------ any error ------> failed
class DirectoryUpload final : public Upload {
 public:
  DirectoryUpload(DirectoryStore& store, std::string key, PutOptions options, std::string path,
                  std::unique_ptr<os::File> file)
      : store_(store),
        options_(std::move(options)),
        path_(std::move(path)),
        file_(std::move(file)) {
    info_.key = std::move(key);
    info_.content_type = options_.content_type;
    info_.content_encoding = options_.content_encoding;
    info_.metadata = options_.metadata;
  }
  ~DirectoryUpload() override {
    file_.reset();
    // What cannot be removed is removed by the next open() of the store.
    if (!published_) static_cast<void>(store_.files_.remove(path_));
  }
  DirectoryUpload(const DirectoryUpload&) = delete;
  DirectoryUpload& operator=(const DirectoryUpload&) = delete;

  Status append(std::string_view bytes) override {
    WEIR_ASSERT(!ended_);
    if (!failed_) note(write(bytes));
    return failed_ ? Status{*failed_} : Status{};
  }

  Result<ObjectInfo> commit() override {
    WEIR_ASSERT(!ended_);
    ended_ = true;
    if (!failed_) note(finish());
    if (failed_) return *failed_;
    published_ = true;
    return info_;
  }

 private:
  void note(const Status& status) {
    if (!status.ok()) failed_ = status.error();
  }

  Status write(std::string_view bytes) {
    if (bytes.size() > store_.options_.object_bytes_max - info_.bytes) return too_large();
    WEIR_TRY(expected(file_->write_at(info_.bytes, bytes)));
    sha256_.update(bytes);
    info_.bytes += bytes.size();
    unsynced_bytes_ += bytes.size();
    // Not all at the end: one sync of a large object would hold up the journal's syncs.
    if (unsynced_bytes_ < store_.options_.sync_bytes) return {};
    unsynced_bytes_ = 0;
    return expected(file_->sync_data());
  }

  Status finish() {
    info_.sha256 = sha256_.finish();
    info_.modified = store_.clock_.wall();
    WEIR_TRY(expected(file_->write_at(info_.bytes, encode_tail(info_))));
    WEIR_TRY(expected(file_->sync_data()));
    return store_.publish(path_, info_.key, options_);
  }

  DirectoryStore& store_;
  const PutOptions options_;
  const std::string path_;
  std::unique_ptr<os::File> file_;
  ObjectInfo info_;
  codec::Sha256 sha256_;
  uint64_t unsynced_bytes_ = 0;
  bool ended_ = false;
  bool published_ = false;
  std::optional<Error> failed_;
};

Result<std::unique_ptr<DirectoryStore>> DirectoryStore::open(os::Files& files,
                                                             const base::Clock& clock,
                                                             DirectoryOptions options) {
  WEIR_ASSERT(options.object_bytes_max <= kObjectBytesMax);
  std::unique_ptr<DirectoryStore> store{new DirectoryStore(files, clock, std::move(options))};
  WEIR_TRY(store->prepare());
  return store;
}

Status DirectoryStore::prepare() {
  const std::string& directory = options_.directory;
  if (options_.access == Access::read_write) {
    WEIR_TRY(files_.create_directory(directory));
    const size_t slash = directory.find_last_of('/');
    const std::string parent = slash == std::string::npos ? "." : directory.substr(0, slash);
    WEIR_TRY(files_.sync_directory(parent.empty() ? "/" : parent));
  }
  const std::vector<std::string> all = WEIR_TRY(files_.list(directory));
  if (options_.access == Access::read_only) return {};
  for (const std::string& name : all) {
    if (name.starts_with(kTemporaryPrefix)) WEIR_TRY(files_.remove(path(name)));
  }
  // An earlier process may have been killed between a rename and its sync.
  const base::MutexLock lock{mutex_};
  unsynced_ = true;
  return settle();
}

std::string DirectoryStore::path(std::string_view name) const {
  return options_.directory + '/' + std::string{name};
}

Status DirectoryStore::writable() const {
  if (options_.access == Access::read_write) return {};
  return Error{ErrorCode::unavailable, Origin::self, Retry::never, 0, "store open for reading"};
}

Status DirectoryStore::settle() {
  if (!unsynced_) return {};
  WEIR_TRY(expected(files_.sync_directory(options_.directory)));
  unsynced_ = false;
  return {};
}

Result<ObjectInfo> DirectoryStore::put(std::string_view key, std::string_view bytes,
                                       const PutOptions& options) {
  if (bytes.size() > kWholeBytesMax) return too_large();
  const std::unique_ptr<Upload> upload = WEIR_TRY(start_put(key, options));
  WEIR_TRY(upload->append(bytes));
  return upload->commit();
}

Result<std::unique_ptr<Upload>> DirectoryStore::start_put(std::string_view key,
                                                          const PutOptions& options) {
  WEIR_TRY(check_key(key));
  WEIR_TRY(check_options(options));
  WEIR_TRY(writable());
  std::string temporary;
  {
    const base::MutexLock lock{mutex_};
    temporary = path(std::string{kTemporaryPrefix} + std::to_string(uploads_++));
  }
  auto file = files_.open(temporary, os::OpenMode::create_new);
  if (!file.ok()) return unexpected(file.error());
  return std::unique_ptr<Upload>(std::make_unique<DirectoryUpload>(
      *this, std::string{key}, options, std::move(temporary), std::move(file).value()));
}

Status DirectoryStore::publish(const std::string& temporary, std::string_view key,
                               const PutOptions& options) {
  const std::string file = path(file_name(key));
  const base::MutexLock lock{mutex_};
  WEIR_TRY(settle());
  WEIR_TRY(decide(file, options));
  base::fault_point("objects.before_put");
  unsynced_ = true;
  WEIR_TRY(expected(files_.rename(temporary, file)));
  WEIR_TRY(settle());
  base::fault_point("objects.after_put");
  return {};
}

Status DirectoryStore::decide(const std::string& file, const PutOptions& options) {
  if (!options.if_absent && options.if_match.empty()) return {};
  const Error refused = storage(ErrorCode::conflict, "condition of a put");
  if (options.if_absent) {
    const auto there = files_.open(file, os::OpenMode::read);
    if (there.ok()) return refused;
    if (there.error().code != ErrorCode::not_found) return unexpected(there.error());
    return {};
  }
  const auto there = open_file(file);
  if (!there.ok()) return there.error().code == ErrorCode::not_found ? refused : there.error();
  if (there.value()->info().etag != options.if_match) return refused;
  return {};
}

Result<std::unique_ptr<Object>> DirectoryStore::open_file(const std::string& file) {
  std::unique_ptr<os::File> opened = WEIR_TRY(files_.open(file, os::OpenMode::read));
  auto info = read_info(*opened);
  if (!info.ok()) return unexpected(info.error());
  return std::unique_ptr<Object>(
      std::make_unique<DirectoryObject>(std::move(opened), std::move(info).value()));
}

Result<std::unique_ptr<Object>> DirectoryStore::open(std::string_view key) {
  WEIR_TRY(check_key(key));
  std::unique_ptr<Object> object;
  {
    const base::MutexLock lock{mutex_};
    WEIR_TRY(settle());
    object = WEIR_TRY(open_file(path(file_name(key))));
  }
  // Whole, but some other object: the file was renamed behind the store's back.
  if (object->info().key != key) return storage(ErrorCode::corrupt, "object key");
  return object;
}

Result<std::vector<std::string>> DirectoryStore::names() {
  const base::MutexLock lock{mutex_};
  WEIR_TRY(settle());
  auto all = files_.list(options_.directory);
  if (!all.ok()) return unexpected(all.error());
  return all;
}

// The key of one file; nothing when it is no object's, or none that can be read.
std::optional<std::string> DirectoryStore::key_of_file(const std::string& name,
                                                       size_t& unreadable) {
  // Other files in the directory (lost+found, a temporary) are none of ours.
  if (!is_shortened(name)) return key_of(name);
  const auto object = open_file(path(name));
  if (object.ok() && file_name(object.value()->info().key) == name) {
    return object.value()->info().key;
  }
  if (object.ok() || object.error().code != ErrorCode::not_found) ++unreadable;
  return std::nullopt;
}

// Nothing when the object has been removed meanwhile.
std::optional<Listed> DirectoryStore::describe(const std::string& key) {
  const auto found = open_file(path(file_name(key)));
  if (!found.ok()) {
    if (found.error().code == ErrorCode::not_found) return std::nullopt;
    return Listed{.key = key};
  }
  const ObjectInfo& info = found.value()->info();
  if (info.key != key) return Listed{.key = key};
  return Listed{key, info.bytes, info.etag, info.modified};
}

Result<Listing> DirectoryStore::list(std::string_view prefix, std::string_view after,
                                     size_t objects_max) {
  WEIR_ASSERT(objects_max > 0);
  const size_t page = std::min(objects_max, kPageObjectsMax);
  Listing listing;
  std::vector<std::string> keys;
  const std::vector<std::string> all = WEIR_TRY(names());
  for (const std::string& name : all) {
    std::optional<std::string> key = key_of_file(name, listing.unreadable);
    if (key) keys.push_back(std::move(*key));
  }
  std::erase_if(keys, [&](const std::string& key) {
    return !key.starts_with(prefix) || std::string_view{key} <= after;
  });
  std::sort(keys.begin(), keys.end());
  for (const std::string& key : keys) {
    if (listing.objects.size() == page) {
      listing.complete = false;
      break;
    }
    std::optional<Listed> listed = describe(key);
    if (listed) listing.objects.push_back(std::move(*listed));
  }
  return listing;
}

Status DirectoryStore::remove(std::string_view key) {
  WEIR_TRY(check_key(key));
  WEIR_TRY(writable());
  const base::MutexLock lock{mutex_};
  base::fault_point("objects.before_remove");
  const bool was_unsynced = unsynced_;
  unsynced_ = true;
  const Status removed = files_.remove(path(file_name(key)));
  if (!removed.ok()) {
    if (removed.error().code != ErrorCode::not_found) return unexpected(removed.error());
    unsynced_ = was_unsynced;
  }
  WEIR_TRY(settle());
  base::fault_point("objects.after_remove");
  return {};
}

}  // namespace weir::objects
