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
      again_(*loop_, [this] { look_all_up(); }) {}

Resolver::~Resolver() {
  loop_->stop();
  thread_.join();
}

void Resolver::watch(std::vector<std::string> names, std::chrono::milliseconds refresh,
                     std::function<void()> on_looked) {
  // A full mailbox only means that many changes wait already; the next one brings its own names.
  [[maybe_unused]] const bool sent =
      loop_->post([this, names = std::move(names), refresh, on_looked = std::move(on_looked)] {
        std::vector<std::string> in_vain;
        for (const std::string& name : names) {
          const auto found = known_.find(name);
          if (found != known_.end() && found->second.empty()) in_vain.push_back(name);
        }
        take(names, refresh);
        on_looked();
        for (const std::string& name : in_vain)
          look(name);
      });
}

gateway::Addresses Resolver::addresses() const {
  const base::MutexLock lock{mutex_};
  return shown_;
}

void Resolver::take(std::vector<std::string> names, std::chrono::milliseconds refresh) {
  names_ = std::move(names);
  refresh_ = refresh;
  std::erase_if(known_, [this](const auto& known) {
    return !std::binary_search(names_.begin(), names_.end(), known.first);
  });
  for (const std::string& name : names_) {
    if (!known_.contains(name)) look(name);
  }
  tell();
  if (names_.empty()) {
    next_round_.reset();
    return again_.cancel();
  }
  const base::Monotonic now = clock_.monotonic();
  next_round_ = std::min(next_round_.value_or(base::Monotonic::max()), now + refresh_);
  again_.set(std::chrono::ceil<std::chrono::milliseconds>(*next_round_ - now));
}

// A route that waits for its addresses does not wait until slower names are looked up, too.
void Resolver::look(const std::string& name) {
  std::vector<config::IpAddress> addresses = look_up_(name);
  std::vector<config::IpAddress>& known = known_[name];
  const bool is_awaited = known.empty() && !addresses.empty();
  if (!addresses.empty()) known = std::move(addresses);
  if (is_awaited) tell();
}

void Resolver::look_all_up() {
  for (const std::string& name : names_)
    look(name);
  tell();
  next_round_ = clock_.monotonic() + refresh_;
  again_.set(refresh_);
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
