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

base::Result<std::unique_ptr<Resolver>> Resolver::start(
    base::Clock& clock, std::function<void(gateway::Addresses)> on_change) {
  auto loop = loop::Loop::create(clock);
  if (!loop.ok()) return loop.error();
  std::unique_ptr<Resolver> resolver{
      new Resolver{std::move(loop).value(), std::move(on_change)}};  // Private constructor.
  resolver->thread_ = std::thread([loop = resolver->loop_.get()] { loop->run(); });
  ::pthread_setname_np(resolver->thread_.native_handle(), "resolver");
  return resolver;
}

Resolver::Resolver(std::unique_ptr<loop::Loop> loop,
                   std::function<void(gateway::Addresses)> on_change)
    : loop_(std::move(loop)),
      on_change_(std::move(on_change)),
      again_(*loop_, [this] { look_all_up(false); }) {}

Resolver::~Resolver() {
  loop_->stop();
  thread_.join();
}

void Resolver::watch(std::vector<std::string> names, std::chrono::milliseconds refresh) {
  // A full mailbox only means that many changes wait already; the last one wins at the next
  // refresh.
  [[maybe_unused]] const bool sent = loop_->post([this, names = std::move(names), refresh] {
    names_ = names;
    refresh_ = refresh;
    look_all_up(true);
  });
}

void Resolver::look_all_up(bool first) {
  const gateway::Addresses before = known_;
  gateway::Addresses next;
  for (const std::string& name : names_) {
    std::vector<config::IpAddress> addresses = look_up(name);
    std::vector<config::IpAddress>& known = known_[name];
    // A route waits for its first addresses: not until slower names are looked up, too.
    const bool is_awaited = known.empty() && !addresses.empty();
    if (!addresses.empty()) known = std::move(addresses);
    next[name] = known;
    if (is_awaited) on_change_(known_);
  }
  const bool changed = next != before;
  known_ = std::move(next);
  if (!names_.empty() && (first || changed)) on_change_(known_);
  if (names_.empty()) return again_.cancel();
  again_.set(refresh_);
}

}  // namespace weir::app
