#include "app/resolver.h"

#include <algorithm>
#include <utility>

#include <netdb.h>
#include <pthread.h>
#include <sys/socket.h>

#include "net/socket_address.h"

namespace weir::app {

std::vector<config::IpAddress> look_up(const std::string& name) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG;
  addrinfo* found = nullptr;
  if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return {};
  std::vector<config::IpAddress> addresses;
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const auto address = net::SocketAddress::from_system(each->ai_addr, each->ai_addrlen);
    if (address.is_ip()) addresses.push_back({address.ip().bytes});
  }
  ::freeaddrinfo(found);
  std::sort(addresses.begin(), addresses.end());
  addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
  if (addresses.size() > Resolver::kAddressesMax) addresses.resize(Resolver::kAddressesMax);
  return addresses;
}

base::Result<std::unique_ptr<Resolver>> Resolver::start(base::Clock& clock,
                                                        std::function<bool()> on_change,
                                                        LookUp look_up) {
  auto loop = loop::Loop::create(clock);
  if (!loop.ok()) return loop.error();
  std::unique_ptr<Resolver> resolver{new Resolver{clock, std::move(loop).value(),
                                                  std::move(on_change),  // Private constructor.
                                                  std::move(look_up)}};
  resolver->thread_ = std::thread([loop = resolver->loop_.get()] { loop->run(); });
  ::pthread_setname_np(resolver->thread_.native_handle(), "resolver");
  return resolver;
}

Resolver::Resolver(base::Clock& clock, std::unique_ptr<loop::Loop> loop,
                   std::function<bool()> on_change, LookUp look_up)
    : clock_(clock),
      loop_(std::move(loop)),
      on_change_(std::move(on_change)),
      look_up_(std::move(look_up)),
      again_(*loop_, [this] { go_on(); }) {}

// Waits for the look-up that is under way, not for all of them.
Resolver::~Resolver() {
  stopping_.store(true, std::memory_order_relaxed);
  loop_->stop();
  thread_.join();
}

void Resolver::watch(std::vector<std::string> names, std::chrono::milliseconds refresh,
                     std::function<void()> on_looked) {
  // A full mailbox only means that many changes wait already; the next one brings its own names.
  [[maybe_unused]] const bool sent =
      loop_->post([this, names = std::move(names), refresh, on_looked = std::move(on_looked)] {
        take(names, refresh);
        on_looked();
      });
}

gateway::Addresses Resolver::addresses() const {
  const base::MutexLock lock{mutex_};
  return shown_;
}

void Resolver::take(std::vector<std::string> names, std::chrono::milliseconds refresh) {
  names_ = std::move(names);
  refresh_ = refresh;
  bool all_resolve = true;
  for (const std::string& name : names_) {
    if (!known_.contains(name)) look(name);
    all_resolve = all_resolve && !known_[name].empty();
  }
  tell();
  set_next_round(all_resolve ? refresh_ : std::min(refresh_, kRetry));
}

// At the latest; an earlier one stays.
void Resolver::set_next_round(std::chrono::milliseconds delay) {
  const base::Monotonic now = clock_.monotonic();
  next_round_ = std::min(next_round_.value_or(base::Monotonic::max()), now + delay);
  const bool is_in_round = round_at_ > 0;
  again_.set(is_in_round ? std::chrono::milliseconds{0}
                         : std::chrono::ceil<std::chrono::milliseconds>(*next_round_ - now));
}

// A route that waits for its addresses does not wait until slower names are looked up, too.
void Resolver::look(const std::string& name) {
  if (stopping_.load(std::memory_order_relaxed)) return;
  std::vector<config::IpAddress> addresses = look_up_(name);
  std::vector<config::IpAddress>& known = known_[name];
  const bool is_awaited = known.empty() && !addresses.empty();
  if (!addresses.empty()) known = std::move(addresses);
  if (is_awaited) tell();
}

// One name in a turn: a change that brings a new one comes in between.
void Resolver::go_on() {
  if (round_at_ == 0) {
    std::erase_if(known_, [this](const auto& known) {
      return !std::binary_search(names_.begin(), names_.end(), known.first);
    });
  }
  if (round_at_ < names_.size()) {
    look(names_[round_at_++]);
    return again_.set(std::chrono::milliseconds{0});
  }
  round_at_ = 0;
  tell();
  next_round_.reset();
  if (!names_.empty()) set_next_round(refresh_);
}

void Resolver::tell() {
  {
    const base::MutexLock lock{mutex_};
    is_told_ = is_told_ && shown_ == known_;
    shown_ = known_;
  }
  if (!is_told_) is_told_ = on_change_();
}

}  // namespace weir::app
