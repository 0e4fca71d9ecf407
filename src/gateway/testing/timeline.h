#pragma once
// What happened on the streams of one fake connection, in the order in which it happened, and the
// recorder that writes its commits into it. So a test can say that an event was committed before
// the last byte of its response left, whatever else went on at the same time.

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "traffic/event.h"
#include "traffic/event_id_source.h"
#include "traffic/recorder.h"

namespace weir::gateway::testing {

enum class Happening : uint8_t {
  arrived,  // The request's head was handed to the gateway.
  head,     // The response's head left.
  data,     // Body bytes left, and more will follow.
  last,     // The response's final byte left.
  reset,    // The response was cut: the client knows that it is incomplete.
  gone,     // The client gave up.
  commit,   // The event is in the recorder.
};

struct Moment {
  Happening what;
  int stream;
  bool operator==(const Moment&) const = default;
};

// Threading: one thread at a time.
class Timeline {
 public:
  static constexpr int kNoStream = -1;

  void add(Happening what, int stream) { moments_.push_back({what, stream}); }

  // The stream that the gateway is being called for. Ids are drawn inside such calls.
  void enter(int stream) { current_ = stream; }
  int current() const { return current_; }

  std::vector<Happening> of(int stream) const;

  // P1 for a stream that is over: empty, or what is wrong. An exchange that Weir does not record
  // (its own health answer) has no commit; every other exactly one, and nothing of its stream
  // stands between that and the final byte, the cut, or, `open_ended`, the head.
  std::string violation(int stream, bool recorded, bool open_ended) const;

 private:
  std::vector<Moment> moments_;
  int current_ = kNoStream;
};

// Keeps events in their stored form, as the ring would.
// Threading: one thread at a time.
class FakeRecorder final : public traffic::Recorder {
 public:
  explicit FakeRecorder(Timeline& timeline) : timeline_(timeline), ids_(0x0102030405) {}

  traffic::EventId next_id(base::Wall arrival) override;
  void commit(const traffic::Event& event) override;
  void answered() override { ++answered_; }

  size_t count() const { return stored_.size(); }
  size_t answered_count() const { return answered_; }
  // The event of a stream, which must have exactly one. Views live until the next commit.
  traffic::Event of(int stream) const;

 private:
  struct Stored {
    int stream;
    std::string payload;
  };

  Timeline& timeline_;
  traffic::EventIdSource ids_;
  std::map<traffic::EventId, int> streams_;
  std::vector<Stored> stored_;
  size_t answered_ = 0;
};

}  // namespace weir::gateway::testing
