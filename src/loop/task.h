#pragma once
// Something that a loop runs: when its descriptor is ready, when its deadline passes, or when it
// asked for another turn. Connections, listeners and alarms are Tasks.

#include <cstdint>

#include "base/clock.h"

namespace weir::loop {

class Loop;

// What on_ready() is told; several may be set. Edge-triggered: told once per change.
struct Ready {
  static constexpr uint32_t kReadable = 0x001;     // EPOLLIN
  static constexpr uint32_t kWritable = 0x004;     // EPOLLOUT
  static constexpr uint32_t kError = 0x008;        // EPOLLERR
  static constexpr uint32_t kHangUp = 0x010;       // EPOLLHUP: both directions are over.
  static constexpr uint32_t kPeerClosed = 0x2000;  // EPOLLRDHUP: the peer will send no more.
};

// A link of an intrusive, circular, doubly linked list. A node alone links to itself.
// Threading: home loop only.
class Node {
 public:
  Node() = default;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;
  ~Node() { unlink(); }

  bool linked() const { return next_ != this; }
  Node* next() { return next_; }
  void unlink() {
    previous_->next_ = next_;
    next_->previous_ = previous_;
    next_ = previous_ = this;
  }
  // Puts this node, which must be alone, at the end of the list whose head is `head`.
  void append_to(Node& head) {
    previous_ = head.previous_;
    next_ = &head;
    head.previous_->next_ = this;
    head.previous_ = this;
  }

 private:
  Node* next_ = this;
  Node* previous_ = this;
};

// Ownership: whoever created it; give it to Loop::dispose() to destroy it from inside its own
//   callback, or from inside another Task's.
// Threading: home loop only.
class Task {
 public:
  Task() = default;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;
  virtual ~Task() = default;

 protected:
  virtual void on_ready(uint32_t ready) = 0;
  virtual void on_deadline() {}
  virtual void on_turn() {}  // After Loop::defer().

 private:
  friend class Loop;
  struct TimerNode : Node {
    Task* task = nullptr;
  };
  struct TurnNode : Node {
    Task* task = nullptr;
  };

  TimerNode timer_;
  TurnNode turn_;
  base::Monotonic deadline_ = base::Monotonic::max();
  uint64_t timer_tick_ = 0;  // Valid while timer_ is linked.
  bool gone_ = false;        // Disposed in this turn: no callback runs any more.
};

}  // namespace weir::loop
