#include "pipeline/testing/fake_journal.h"

#include <algorithm>
#include <array>

#include "base/assert.h"

namespace weir::pipeline::testing {
namespace {

constexpr base::Error kUnreadable{base::ErrorCode::unavailable, base::Origin::storage,
                                  base::Retry::with_backoff, 5, "journal disk"};

}  // namespace

void FakeJournal::append(journal::Stream stream, const traffic::Event& event) {
  std::array<char, traffic::kEventBytesMax> bytes{};
  append_bytes(stream, std::string{bytes.data(), traffic::encode(event, bytes)});
}

void FakeJournal::append_bytes(journal::Stream stream, std::string payload) {
  Contents& contents = streams_[stream];
  contents.records.emplace(contents.next++, std::move(payload));
}

void FakeJournal::lose(journal::Stream stream, uint64_t count) {
  streams_[stream].next += count;
}

void FakeJournal::forget_released() {
  for (auto& [stream, contents] : streams_) {
    contents.records.erase(contents.records.begin(),
                           contents.records.upper_bound(contents.released));
  }
  lent_ = {};
}

uint64_t FakeJournal::released(journal::Stream stream) const {
  return streams_.at(stream).released;
}

uint64_t FakeJournal::appended(journal::Stream stream) const {
  return streams_.at(stream).next - 1;
}

std::vector<journal::Stream> FakeJournal::streams() {
  std::vector<journal::Stream> listed;
  for (const auto& [stream, contents] : streams_) {
    const bool finished = contents.closed && contents.released + 1 >= contents.next;
    if (!finished) listed.push_back(stream);
  }
  return listed;
}

base::Result<journal::Read> FakeJournal::read(journal::Stream stream, uint64_t from,
                                              size_t records_max) {
  WEIR_ASSERT(records_max >= 1 && from >= 1);
  // Whoever still looks at the bytes of the read before sees rubbish.
  for (std::string& bytes : lent_)
    std::fill(bytes.begin(), bytes.end(), '\xee');
  lent_.clear();
  if (reads_fail_) return kUnreadable;
  const Contents& contents = streams_[stream];
  const uint64_t first = from > redelivered_ ? from - redelivered_ : 1;
  journal::Read read{.records = {}, .next = from, .lost = 0};
  lent_.reserve(records_max);  // Views into it stay valid.
  std::vector<uint64_t> sequences;
  for (auto at = contents.records.lower_bound(first);
       at != contents.records.end() && lent_.size() < records_max; ++at) {
    lent_.push_back(at->second);
    sequences.push_back(at->first);
  }
  for (size_t i = 0; i < lent_.size(); ++i)
    read.records.push_back({sequences[i], lent_[i]});
  const bool all = sequences.empty() || sequences.back() == contents.records.rbegin()->first;
  // A gap at the end is known to be lost only when a valid record follows, or the stream ended.
  if (!sequences.empty()) read.next = std::max(from, sequences.back() + 1);
  if (all && contents.closed) read.next = std::max(from, contents.next);
  read.at_end = all;
  read.closed = all && contents.closed;
  uint64_t kept = 0;
  for (const uint64_t sequence : sequences)
    kept += sequence >= from ? 1 : 0;
  read.lost = read.next - from - kept;
  return read;
}

base::Status FakeJournal::release(journal::Stream stream, uint64_t through) {
  if (releases_fail_) return kUnreadable;
  Contents& contents = streams_[stream];
  WEIR_ASSERT(through < contents.next);
  contents.released = std::max(contents.released, through);
  return {};
}

base::Result<std::vector<journal::DegradedSide>> FakeJournal::degraded() {
  if (reads_fail_) return kUnreadable;
  return sides_;
}

base::Status FakeJournal::release_degraded(journal::Stream stream, uint64_t generation) {
  if (releases_fail_) return kUnreadable;
  std::erase_if(sides_, [&](const journal::DegradedSide& side) {
    return side.stream == stream && side.generation == generation;
  });
  return {};
}

}  // namespace weir::pipeline::testing
