#include "pipeline/archive_lines.h"

#include <iterator>
#include <utility>

#include <fmt/format.h>

namespace weir::pipeline {
namespace {

using base::Error;
using base::ErrorCode;

// An archive line is at most some kilobytes, or two sketches; more is no archive.
constexpr size_t kLineBytesMax = 256 * 1024;
constexpr uint64_t kRawBytesMax = uint64_t{1} << 46U;

// Splits decompressed bytes into lines.
class Splitter {
 public:
  explicit Splitter(const std::function<base::Status(std::string_view)>& each) : each_(each) {}

  base::Status take(std::string_view raw) {
    sha256_.update(raw);
    lines_.raw_bytes += raw.size();
    while (!raw.empty()) {
      const size_t end = raw.find('\n');
      if (end == std::string_view::npos) {
        rest_ += raw;
        return rest_.size() > kLineBytesMax ? base::Status{kDamaged} : base::Status{};
      }
      if (rest_.empty()) {
        WEIR_TRY(each_(raw.substr(0, end)));
      } else {
        rest_ += raw.substr(0, end);
        WEIR_TRY(each_(rest_));
        rest_.clear();
      }
      raw.remove_prefix(end + 1);
    }
    return {};
  }

  base::Result<Lines> finish() {
    if (!rest_.empty()) return kDamaged;
    lines_.raw_sha256 = sha256_.finish();
    return lines_;
  }

 private:
  const std::function<base::Status(std::string_view)>& each_;
  Lines lines_;
  codec::Sha256 sha256_;
  std::string rest_;  // The beginning of a line.
};

// Where each gzip member begins, for readers that want a part of it. Made again from the object if
// it is lost, so it is no part of the proof.
base::Status write_index(objects::Store& store, const std::string& key, const std::string& index) {
  const objects::PutOptions options{.content_type = "text/plain",
                                    .metadata = {{"source", "traffic_events"}}};
  if (store.put(key + ".index", index, options).ok()) return {};
  return Error{ErrorCode::unavailable, base::Origin::storage, base::Retry::with_backoff, 0,
               "archive index"};
}

}  // namespace

struct LinesWriter::State {
  State(objects::Store& to, std::string name, std::unique_ptr<objects::Upload> begun)
      : store(to),
        key(std::move(name)),
        upload(std::move(begun)),
        gzip({}, [this](std::string_view bytes, const codec::GzipMember& member) {
          fmt::format_to(std::back_inserter(index), "{} {} {} {}\n", member.raw_offset,
                         member.raw_bytes, member.compressed_offset, member.compressed_bytes);
          return upload->append(bytes);
        }) {}

  objects::Store& store;
  const std::string key;
  const std::unique_ptr<objects::Upload> upload;
  std::string index;
  codec::Sha256 sha256;
  uint64_t raw_bytes = 0;
  codec::GzipWriter gzip;
};

LinesWriter::LinesWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
LinesWriter::LinesWriter(LinesWriter&& other) noexcept = default;
LinesWriter::~LinesWriter() = default;

base::Result<LinesWriter> LinesWriter::start(objects::Store& store, const std::string& key,
                                             const objects::PutOptions& options) {
  std::unique_ptr<objects::Upload> upload = WEIR_TRY(store.start_put(key, options));
  return LinesWriter{std::make_unique<State>(store, key, std::move(upload))};
}

base::Status LinesWriter::append(std::string_view line) {
  state_->sha256.update(line);
  state_->raw_bytes += line.size();
  WEIR_TRY(state_->gzip.append(line));
  state_->gzip.end_row();
  return {};
}

base::Result<Lines> LinesWriter::finish() {
  WEIR_TRY(state_->gzip.finish());
  const objects::ObjectInfo info = WEIR_TRY(state_->upload->commit());
  WEIR_TRY(write_index(state_->store, state_->key, state_->index));
  return Lines{
      .raw_bytes = state_->raw_bytes, .bytes = info.bytes, .raw_sha256 = state_->sha256.finish()};
}

base::Result<Lines> read_lines(objects::Store& store, const std::string& key,
                               const std::function<base::Status(std::string_view)>& each) {
  const std::unique_ptr<objects::Object> object = WEIR_TRY(store.open(key));
  Splitter lines{each};
  codec::GzipReader gzip{kRawBytesMax, [&](std::string_view raw) { return lines.take(raw); }};
  WEIR_TRY(
      objects::read_object(*object, [&](std::string_view bytes) { return gzip.append(bytes); }));
  WEIR_TRY(gzip.finish());
  Lines read = WEIR_TRY(lines.finish());
  read.bytes = object->info().bytes;
  return read;
}

}  // namespace weir::pipeline
