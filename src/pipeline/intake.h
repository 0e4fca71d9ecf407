#pragma once
// The batch while it is being collected: records copied out of the journal, decoded and checked, in
// the order in which they will be stored.
//
// Copied, because a record's bytes are gone with the next read, and a batch that could not be
// stored is kept for the next try.

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "journal/journal.h"
#include "pipeline/recent_ids.h"
#include "traffic/event.h"

namespace weir::pipeline {

// Something that moves a stream's position forward.
struct Item {
  enum class Kind : uint8_t {
    event,
    dead,  // A record that becomes a dead letter.
    gap,   // Nothing but lost sequences.
  };
  Kind kind = Kind::event;
  uint32_t source = 0;    // Index of the stream, given by the caller.
  uint64_t sequence = 0;  // The last one it accounts for.
  uint64_t lost = 0;      // Sequences before it that no record holds; a gap: all it accounts for.
  uint32_t event = 0;     // Index into events(); dead items keep theirs if they could be decoded.
  std::string_view reason = {};   // Of dead items; lives as long as the program.
  std::string_view payload = {};  // Empty for gaps.
};

// Reasons of dead letters that are found when a record is read.
inline constexpr std::string_view kUndecodable = "undecodable";
inline constexpr std::string_view kInvalidEvent = "invalid_event";
inline constexpr std::string_view kDuplicateId = "duplicate_id";

// Whether the tables can hold it; decode() does not look at that.
bool is_storable(const traffic::Event& event);

// Ownership: owns the bytes that its items point to, until clear().
// Threading: the consumer thread.
// Limits: the caller stops adding when full(); one read goes beyond by at most what it returned.
class Intake {
 public:
  Intake(size_t items_max, size_t bytes_max) : items_max_(items_max), bytes_max_(bytes_max) {}

  // Adds what one read of `source` returned. `through` is the position before it: records up to it
  // were seen already and are skipped. Returns the position after it.
  uint64_t add(uint32_t source, uint64_t through, const journal::Read& read);

  bool empty() const { return items_.empty(); }
  bool full() const { return items_.size() >= items_max_ || bytes_ >= bytes_max_; }
  size_t room() const { return items_max_ - items_.size(); }  // Requires !full().

  std::vector<Item>& items() { return items_; }
  const std::vector<traffic::Event>& events() const { return events_; }

  void clear();
  // Ids of events that are known to be stored, oldest first; forget_ids() starts anew.
  void remember(const traffic::EventId& id) { ids_.insert(id); }
  void forget_ids() { ids_.forget(); }

 private:
  static constexpr size_t kChunkBytes = 256 * 1024;

  std::string_view keep(std::string_view bytes);
  void add_record(Item item, std::string_view payload);

  const size_t items_max_;
  const size_t bytes_max_;
  std::vector<Item> items_;
  std::vector<traffic::Event> events_;
  RecentIds ids_;
  std::vector<std::unique_ptr<char[]>> chunks_;  // Each of kChunkBytes; reused.
  std::vector<std::unique_ptr<char[]>> large_;   // Payloads that no chunk can hold.
  size_t chunks_used_ = 0;
  size_t chunk_at_ = kChunkBytes;  // Used bytes of the last chunk in use.
  size_t bytes_ = 0;
};

}  // namespace weir::pipeline
