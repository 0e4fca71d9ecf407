#include "app/follow_hub.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "app/access_log.h"
#include "app/log.h"
#include "base/assert.h"

namespace weir::app {

// Rendered when somebody wants it.
class FollowHub::Line {
 public:
  Line(std::function<void(std::string&)> text, std::function<void(std::string&)> json)
      : text_(std::move(text)), json_(std::move(json)) {}

  // With its end.
  const std::string& as(bool json) {
    std::string& rendered = json ? json_line_ : text_line_;
    if (!rendered.empty()) return rendered;
    (json ? json_ : text_)(rendered);
    rendered += '\n';
    return rendered;
  }

 private:
  const std::function<void(std::string&)> text_;
  const std::function<void(std::string&)> json_;
  std::string text_line_;
  std::string json_line_;
};

// Ownership: borrows the hub.
// Threading: next() and the destructor: the control thread; the rest under the hub's lock.
class FollowHub::Follower final : public LineStream {
 public:
  Follower(FollowHub& hub, Rules rules) : hub_(hub), rules_(std::move(rules)) {}

  ~Follower() override {
    const base::MutexLock lock{hub_.mutex_};
    std::erase(hub_.followers_, this);
    hub_.count_.store(hub_.followers_.size(), std::memory_order_relaxed);
  }

  bool wants_json() const { return rules_.json; }

  // True: lines wait since this one, and next() is to be called.
  bool offer(const std::string& line) {
    if (line.find(rules_.grep) == std::string::npos) return false;
    // After a loss nothing is taken until the reader has heard of it: it stands where it happened.
    if (lost_ > 0 || pending_.size() + line.size() > kPendingBytesMax) {
      ++lost_;
    } else {
      pending_ += line;
    }
    return !std::exchange(noticed_, true);
  }

  std::string next() override {
    const base::MutexLock lock{hub_.mutex_};
    noticed_ = false;
    std::string lines = std::exchange(pending_, {});
    if (const uint64_t lost = std::exchange(lost_, 0); lost > 0) {
      lines += rules_.json ? fmt::format(R"({{"type":"lost","lines":{}}})", lost)
                           : fmt::format("… {} lines were lost: this reader is too slow", lost);
      lines += '\n';
    }
    return lines;
  }

 private:
  FollowHub& hub_;
  const Rules rules_;
  std::string pending_;
  uint64_t lost_ = 0;
  bool noticed_ = false;  // Since the last next().
};

FollowHub::~FollowHub() {
  WEIR_ASSERT(followers() == 0);
}

std::unique_ptr<LineStream> FollowHub::follow(Rules rules) {
  auto follower = std::make_unique<Follower>(*this, std::move(rules));
  {
    const base::MutexLock lock{mutex_};
    if (followers_.size() < kFollowersMax) {
      followers_.push_back(follower.get());
      count_.store(followers_.size(), std::memory_order_relaxed);
      return follower;
    }
  }
  return nullptr;
}

bool FollowHub::offer(const std::vector<Follower*>& followers, Line& line) {
  bool tell = false;
  for (Follower* const follower : followers)
    tell = follower->offer(line.as(follower->wants_json())) || tell;
  return tell;
}

void FollowHub::log(base::LogLevel level, std::string_view marker, std::string_view text) {
  if (followers() == 0) return;
  const base::Wall now = clock_.wall();
  Line line{
      [&](std::string& out) { out += log_line(now, config::LogFormat::text, level, marker, text); },
      [&](std::string& out) {
        out += R"({"type":"log",)";
        out +=
            std::string_view{log_line(now, config::LogFormat::json, level, marker, text)}.substr(1);
      }};
  bool tell = false;
  {
    const base::MutexLock lock{mutex_};
    tell = offer(followers_, line);
  }
  if (tell) notice_();
}

void FollowHub::on_events(std::span<const traffic::Event> events) {
  if (followers() == 0) return;
  bool tell = false;
  {
    const base::MutexLock lock{mutex_};
    for (const traffic::Event& event : events) {
      Line line{[&event](std::string& out) { append_event_text(out, event); },
                [&event](std::string& out) {
                  out += R"({"type":"event",)";
                  std::string object;
                  append_event_json(object, event);
                  out += std::string_view{object}.substr(1);
                }};
      tell = offer(followers_, line) || tell;
    }
  }
  if (tell) notice_();
}

}  // namespace weir::app
