#include "pipeline/intake.h"

#include <algorithm>
#include <cstring>

namespace weir::pipeline {
namespace {

// 1970 to 9999: what the views can print.
constexpr int64_t kArrivalUsMax = 253'402'300'800'000'000;

}  // namespace

bool is_storable(const traffic::Event& event) {
  return event.status >= 100 && event.status <= 599 && event.arrival_us >= 0 &&
         event.arrival_us < kArrivalUsMax;
}

uint64_t Intake::add(uint32_t source, uint64_t through, const journal::Read& read) {
  for (const journal::Record& record : read.records) {
    if (record.sequence <= through) continue;  // Delivered again.
    add_record(
        {.source = source, .sequence = record.sequence, .lost = record.sequence - through - 1},
        record.payload);
    through = record.sequence;
  }
  if (read.next > through + 1) {
    items_.push_back({.kind = Item::Kind::gap,
                      .source = source,
                      .sequence = read.next - 1,
                      .lost = read.next - 1 - through});
    through = read.next - 1;
  }
  return through;
}

void Intake::add_record(Item item, std::string_view payload) {
  item.payload = keep(payload);
  const base::Result<traffic::Event> decoded = traffic::decode(item.payload);
  if (!decoded.ok()) {
    item.kind = Item::Kind::dead;
    item.reason = kUndecodable;
  } else {
    item.event = static_cast<uint32_t>(events_.size());
    events_.push_back(decoded.value());
    if (!is_storable(events_.back())) {
      item.kind = Item::Kind::dead;
      item.reason = kInvalidEvent;
    } else if (!ids_.insert(events_.back().id)) {
      item.kind = Item::Kind::dead;
      item.reason = kDuplicateId;
    }
  }
  items_.push_back(item);
}

std::string_view Intake::keep(std::string_view bytes) {
  bytes_ += bytes.size();
  if (bytes.empty()) return {};
  if (bytes.size() > kChunkBytes) {
    large_.push_back(std::make_unique<char[]>(bytes.size()));
    std::memcpy(large_.back().get(), bytes.data(), bytes.size());
    return {large_.back().get(), bytes.size()};
  }
  if (kChunkBytes - chunk_at_ < bytes.size()) {
    if (chunks_used_ == chunks_.size()) chunks_.push_back(std::make_unique<char[]>(kChunkBytes));
    ++chunks_used_;
    chunk_at_ = 0;
  }
  char* const place = chunks_[chunks_used_ - 1].get() + chunk_at_;
  std::memcpy(place, bytes.data(), bytes.size());
  chunk_at_ += bytes.size();
  return {place, bytes.size()};
}

void Intake::clear() {
  items_.clear();
  events_.clear();
  large_.clear();
  chunks_used_ = 0;
  chunk_at_ = kChunkBytes;
  bytes_ = 0;
}

}  // namespace weir::pipeline
