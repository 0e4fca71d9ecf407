#include "loop/loop.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace weir::loop {
namespace {

using base::Error;
using base::ErrorCode;
using base::Origin;
using base::Retry;

static_assert(Ready::kReadable == EPOLLIN && Ready::kWritable == EPOLLOUT);
static_assert(Ready::kError == EPOLLERR && Ready::kHangUp == EPOLLHUP);
static_assert(Ready::kPeerClosed == EPOLLRDHUP);

Error no_descriptor(int code) {
  return {ErrorCode::unavailable, Origin::self, Retry::with_backoff, code, "event loop descriptor"};
}

base::Status add(int epoll, int descriptor, uint32_t interest, void* data) {
  epoll_event event{};
  event.events = interest;
  event.data.ptr = data;
  if (::epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event) != 0) return no_descriptor(errno);
  return {};
}

}  // namespace

base::Result<std::unique_ptr<Loop>> Loop::create(base::Clock& clock) {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return no_descriptor(errno);
  const int wake_up = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_up < 0) {
    const int code = errno;
    ::close(epoll);
    return no_descriptor(code);
  }
  // Edge-triggered, so that the counter never needs to be read back.
  const base::Status added = add(epoll, wake_up, EPOLLIN | EPOLLET, nullptr);
  std::unique_ptr<Loop> loop{new Loop{clock, epoll, wake_up}};  // Private constructor.
  if (!added.ok()) return added.error();
  return loop;
}

Loop::Loop(base::Clock& clock, int epoll, int wake_up)
    : clock_(clock), epoll_(epoll), wake_up_(wake_up), posts_(kPostsMax, *this) {
  refresh_time();
  tick_ = tick_of(now_);
}

Loop::~Loop() {
  disposed_.clear();
  ::close(wake_up_);
  ::close(epoll_);
}

void Loop::refresh_time() {
  now_ = clock_.monotonic();
  wall_ = clock_.wall();
}

void Loop::run() {
  while (!stopping_.load(std::memory_order_relaxed))
    turn(std::chrono::milliseconds{60'000});
}

void Loop::stop() {
  stopping_.store(true, std::memory_order_relaxed);
  wake();
}

void Loop::wake() {
  if (woken_.exchange(true, std::memory_order_acq_rel)) return;
  const uint64_t one = 1;
  // It can only fail when the counter is full, and then the loop is awake anyhow.
  [[maybe_unused]] const ssize_t written = ::write(wake_up_, &one, sizeof one);
}

void Loop::turn(std::chrono::milliseconds wait_max) {
  std::array<epoll_event, kReadyMax> ready;
  const int wait = wait_ms(wait_max);
  busy_since_ns_.store(0, std::memory_order_relaxed);
  const int count = ::epoll_wait(epoll_, ready.data(), static_cast<int>(ready.size()), wait);
  refresh_time();
  busy_since_ns_.store(now_.time_since_epoch().count(), std::memory_order_relaxed);
  for (int i = 0; i < count; ++i) {
    Task* const task = static_cast<Task*>(ready[static_cast<size_t>(i)].data.ptr);
    if (task != nullptr && !task->gone_) task->on_ready(ready[static_cast<size_t>(i)].events);
  }
  if (woken_.load(std::memory_order_relaxed)) run_posts();
  run_deferred();
  expire();
  disposed_.clear();
}

base::Status Loop::watch(int descriptor, Task& task) {
  return add(epoll_, descriptor, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, &task);
}

base::Status Loop::watch_listener(int descriptor, Task& task, bool shared) {
  return add(epoll_, descriptor, EPOLLIN | (shared ? EPOLLEXCLUSIVE : 0U), &task);
}

void Loop::unwatch(int descriptor) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor, nullptr);
}

// Rounds up, so that a deadline never rings early; a far one waits in the last slot and is put
// back from there.
void Loop::arm(Task& task) {
  const uint64_t wanted = tick_of(task.deadline_) + 1;
  const uint64_t tick = std::clamp(wanted, tick_ + 1, tick_ + kSlots - 1);
  const size_t slot = tick % kSlots;
  task.timer_.unlink();
  task.timer_.task = &task;
  task.timer_.append_to(wheel_[slot]);
  task.timer_tick_ = tick;
  occupied_[slot / 64] |= uint64_t{1} << (slot % 64);
}

void Loop::set_deadline(Task& task, base::Monotonic at) {
  task.deadline_ = at;
  if (task.timer_.linked() && task.timer_tick_ <= tick_of(at) + 1) return;
  arm(task);
}

void Loop::expire() {
  const uint64_t now_tick = tick_of(now_);
  if (now_tick <= tick_) return;
  const uint64_t first = tick_ + 1;
  const uint64_t last = std::min(now_tick, tick_ + kSlots);
  tick_ = now_tick;
  for (uint64_t tick = first; tick <= last; ++tick) {
    const size_t slot = tick % kSlots;
    const uint64_t bit = uint64_t{1} << (slot % 64);
    if ((occupied_[slot / 64] & bit) == 0) continue;
    occupied_[slot / 64] &= ~bit;
    expire_slot(slot);
  }
}

void Loop::expire_slot(size_t slot) {
  // The entries move to a list of their own first: a callback may arm a deadline in this very slot.
  Node due;
  while (wheel_[slot].linked()) {
    Node* const node = wheel_[slot].next();
    node->unlink();
    node->append_to(due);
  }
  while (due.linked()) {
    auto* const entry = static_cast<Task::TimerNode*>(due.next());
    Task& task = *entry->task;
    entry->unlink();
    if (task.gone_ || task.deadline_ == base::Monotonic::max()) continue;
    if (task.deadline_ > now_) {
      arm(task);
      continue;
    }
    task.deadline_ = base::Monotonic::max();
    task.on_deadline();
  }
}

int Loop::wait_ms(std::chrono::milliseconds wait_max) const {
  if (deferred_.linked()) return 0;
  // Searches the occupied slots in the order in which they come up, a word at a time.
  const size_t start = (tick_ + 1) % kSlots;
  for (size_t step = 0; step <= occupied_.size(); ++step) {
    const size_t word = (start / 64 + step) % occupied_.size();
    uint64_t bits = occupied_[word];
    if (step == 0) bits &= ~uint64_t{0} << (start % 64);
    if (step == occupied_.size()) bits &= ~(~uint64_t{0} << (start % 64));
    if (bits == 0) continue;
    const size_t slot = word * 64 + static_cast<size_t>(std::countr_zero(bits));
    const uint64_t tick = tick_ + 1 + (slot + kSlots - start) % kSlots;
    const auto at = base::Monotonic{kTick * static_cast<int64_t>(tick)};
    const auto delay = std::chrono::ceil<std::chrono::milliseconds>(at - clock_.monotonic());
    return static_cast<int>(std::clamp<int64_t>(delay.count(), 0, wait_max.count()));
  }
  return static_cast<int>(wait_max.count());
}

void Loop::defer(Task& task) {
  task.turn_.task = &task;
  if (!task.turn_.linked()) task.turn_.append_to(deferred_);
}

void Loop::run_deferred() {
  Node due;
  while (deferred_.linked()) {
    Node* const node = deferred_.next();
    node->unlink();
    node->append_to(due);
  }
  while (due.linked()) {
    auto* const entry = static_cast<Task::TurnNode*>(due.next());
    entry->unlink();
    if (!entry->task->gone_) entry->task->on_turn();
  }
}

void Loop::run_posts() {
  woken_.store(false, std::memory_order_release);
  for (std::function<void()>& function : posts_.take_all())
    function();
}

void Loop::dispose(std::unique_ptr<Task> task) {
  task->gone_ = true;
  task->timer_.unlink();
  task->turn_.unlink();
  disposed_.push_back(std::move(task));
}

}  // namespace weir::loop
