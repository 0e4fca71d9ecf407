#pragma once
// A Journal in memory, whose records a test writes, loses, tears and delivers again.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "journal/journal.h"
#include "traffic/event.h"

namespace weir::pipeline::testing {

// Threading: one thread at a time.
class FakeJournal final : public journal::Journal {
 public:
  // Appends at the stream's next sequence.
  void append(journal::Stream stream, const traffic::Event& event);
  void append_bytes(journal::Stream stream, std::string payload);
  // The next `count` sequences of the stream exist nowhere.
  void lose(journal::Stream stream, uint64_t count);
  void close(journal::Stream stream) { streams_[stream].closed = true; }
  void add_side(journal::DegradedSide side) { sides_.push_back(std::move(side)); }

  // Reads begin up to so many records before the asked one, as if delivered again.
  void redeliver(uint64_t records) { redelivered_ = records; }
  void fail_reads(bool fail) { reads_fail_ = fail; }
  void fail_releases(bool fail) { releases_fail_ = fail; }

  uint64_t released(journal::Stream stream) const;
  uint64_t appended(journal::Stream stream) const;
  // Takes the memory of released records back; else they are kept, to be delivered again.
  void forget_released();
  const std::vector<journal::DegradedSide>& sides() const { return sides_; }

  std::vector<journal::Stream> streams() override;
  base::Result<journal::Read> read(journal::Stream stream, uint64_t from,
                                   size_t records_max) override;
  base::Status release(journal::Stream stream, uint64_t through) override;
  base::Result<std::vector<journal::DegradedSide>> degraded() override;
  base::Status release_degraded(journal::Stream stream, uint64_t generation) override;

 private:
  struct Contents {
    std::map<uint64_t, std::string> records;
    uint64_t next = 1;
    uint64_t released = 0;
    bool closed = false;
  };

  std::map<journal::Stream, Contents> streams_;
  std::vector<journal::DegradedSide> sides_;
  std::vector<std::string> lent_;  // What the last read returned; overwritten by the next call.
  uint64_t redelivered_ = 0;
  bool reads_fail_ = false;
  bool releases_fail_ = false;
};

}  // namespace weir::pipeline::testing
