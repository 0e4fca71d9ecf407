#include "gateway/testing/timeline.h"

#include <algorithm>

#include <gtest/gtest.h>

namespace weir::gateway::testing {

std::vector<Happening> Timeline::of(int stream) const {
  std::vector<Happening> result;
  for (const Moment& moment : moments_) {
    if (moment.stream == stream) result.push_back(moment.what);
  }
  return result;
}

std::string Timeline::violation(int stream, bool recorded, bool open_ended) const {
  const std::vector<Happening> moments = of(stream);
  const auto count = [&](Happening what) {
    return std::count(moments.begin(), moments.end(), what);
  };
  if (count(Happening::commit) != (recorded ? 1 : 0)) {
    return std::to_string(count(Happening::commit)) + " commits";
  }
  const auto ends = count(Happening::last) + count(Happening::reset) + count(Happening::gone);
  if (ends != 1) return std::to_string(ends) + " ends";
  if (!recorded || count(Happening::gone) == 1) return {};
  const auto guarded = std::find_if(moments.begin(), moments.end(), [&](Happening what) {
    return what == Happening::last || what == Happening::reset ||
           (open_ended && what == Happening::head);
  });
  if (guarded == moments.begin() || *std::prev(guarded) != Happening::commit) {
    return "the commit does not come immediately before the final byte";
  }
  return {};
}

traffic::EventId FakeRecorder::next_id(base::Wall arrival) {
  const traffic::EventId id = ids_.next(arrival);
  streams_[id] = timeline_.current();
  return id;
}

void FakeRecorder::commit(const traffic::Event& event) {
  const auto stream = streams_.find(event.id);
  ASSERT_NE(stream, streams_.end()) << "an event with an id that was never given out";
  std::string payload(traffic::kEventBytesMax, '\0');
  payload.resize(traffic::encode(event, payload));
  stored_.push_back({stream->second, std::move(payload)});
  timeline_.add(Happening::commit, stream->second);
}

traffic::Event FakeRecorder::of(int stream) const {
  const Stored* found = nullptr;
  for (const Stored& stored : stored_) {
    if (stored.stream != stream) continue;
    EXPECT_EQ(found, nullptr) << "two events of one exchange";
    found = &stored;
  }
  EXPECT_NE(found, nullptr) << "no event of stream " << stream;
  return found == nullptr ? traffic::Event{} : traffic::decode(found->payload).value();
}

}  // namespace weir::gateway::testing
