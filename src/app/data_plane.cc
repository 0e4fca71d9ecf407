#include "app/data_plane.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include <fcntl.h>
#include <fmt/format.h>
#include <pthread.h>

#include "base/rendezvous.h"
#include "gateway/decisions.h"
#include "net/socket.h"

namespace weir::app {

DataPlane::DataLoop::DataLoop(std::unique_ptr<loop::Loop> home, const Options& options,
                              traffic::Recorder& recorder, const gateway::ClientIdentity& identity,
                              gateway::NodeShared& shared, net::ServerGroup& server_group,
                              uint32_t loop_index)
    : loop(std::move(home)),
      context(*loop),
      pool(context),
      gateway(context, pool, recorder, identity, shared,
              {.node = options.node, .seed = options.seed + loop_index}),
      server(context, gateway, gateway, server_group, loop_index),
      group(server_group),
      index(loop_index),
      on_apply(options.on_apply) {}

void DataPlane::DataLoop::apply(std::shared_ptr<const gateway::Snapshot> snapshot) {
  const config::Limits& limits = snapshot->config.limits;
  context.server.head = gateway::request_limits(limits);
  context.server.header_timeout = limits.header_timeout;
  context.server.body_timeout = limits.body_timeout;
  context.server.keep_alive_timeout = limits.keep_alive_timeout;
  context.server.write_timeout = limits.write_timeout;
  context.server.requests_per_connection_max = limits.requests_per_connection_max;
  // Every loop stores the same number.
  group.connections_max.store(limits.connections_max, std::memory_order_relaxed);
  pool.set_idle_max(limits.upstream_idle_max);
  if (on_apply) on_apply(index, snapshot->config);
  gateway.publish(std::move(snapshot));
}

base::Result<std::unique_ptr<DataPlane>> DataPlane::create(
    Options options, base::Clock& clock, const std::vector<traffic::Recorder*>& recorders,
    const gateway::ClientIdentity& identity) {
  std::unique_ptr<DataPlane> plane{new DataPlane{options}};  // Private constructor.
  plane->group_.loads = std::make_unique<net::ServerGroup::Load[]>(options.loops);
  for (uint32_t i = 0; i < options.loops; ++i) {
    auto home = loop::Loop::create(clock);
    if (!home.ok()) return home.error();
    plane->loops_.push_back(std::make_unique<DataLoop>(std::move(home).value(), options,
                                                       *recorders[i], identity, plane->shared_,
                                                       plane->group_, i));
    plane->group_.servers.push_back(&plane->loops_.back()->server);
  }
  return plane;
}

DataPlane::~DataPlane() {
  stop();
}

base::Status DataPlane::listen(const net::SocketAddress& address, net::ListenerOptions options) {
  if (!address.is_ip()) {
    const os::Fd listener = WEIR_TRY(net::listen_on(address, net::PortSharing::exclusive));
    return listen(listener, options);
  }
  const net::SocketAddress bound = WEIR_TRY(net::prove_free(address));
  for (const auto& data_loop : loops_) {
    os::Fd listener = WEIR_TRY(net::listen_on(bound, net::PortSharing::reuse));
    WEIR_TRY(data_loop->server.listen(std::move(listener), options));
  }
  return {};
}

base::Status DataPlane::listen(const os::Fd& listener, net::ListenerOptions options) {
  options.shared = true;
  for (const auto& data_loop : loops_) {
    os::Fd copy{::fcntl(listener.get(), F_DUPFD_CLOEXEC, 0)};
    if (!copy.valid()) {
      return base::Error{base::ErrorCode::unavailable, base::Origin::self, base::Retry::never,
                         errno, "listening descriptor"};
    }
    WEIR_TRY(data_loop->server.listen(std::move(copy), options));
  }
  return {};
}

void DataPlane::start(std::shared_ptr<const gateway::Snapshot> snapshot) {
  for (const auto& data_loop : loops_)
    data_loop->apply(snapshot);
  running_ = true;
  for (size_t i = 0; i < loops_.size(); ++i) {
    DataLoop& data_loop = *loops_[i];
    data_loop.thread = std::thread([&data_loop] { data_loop.loop->run(); });
    ::pthread_setname_np(data_loop.thread.native_handle(), fmt::format("loop-{}", i).c_str());
  }
}

std::vector<bool> DataPlane::on_all(std::function<void(DataLoop&, size_t)> function,
                                    std::chrono::milliseconds patience) {
  // Shared with the posts: a stalled loop may run its own long after this call has given up.
  const auto rendezvous = std::make_shared<base::Rendezvous>(loops_.size());
  const auto shared =
      std::make_shared<const std::function<void(DataLoop&, size_t)>>(std::move(function));
  for (size_t i = 0; i < loops_.size(); ++i) {
    DataLoop& data_loop = *loops_[i];
    const auto run = [rendezvous, shared, &data_loop, i] {
      (*shared)(data_loop, i);
      rendezvous->arrive(i);
    };
    if (!running_) {
      run();
    } else {
      [[maybe_unused]] const bool sent = data_loop.loop->post(run);  // Not sent: not arrived.
    }
  }
  return rendezvous->wait(patience);
}

std::vector<uint32_t> DataPlane::publish(std::shared_ptr<const gateway::Snapshot> snapshot,
                                         std::chrono::milliseconds patience) {
  const auto done =
      on_all([snapshot](DataLoop& data_loop, size_t) { data_loop.apply(snapshot); }, patience);
  std::vector<uint32_t> stalled;
  for (uint32_t i = 0; i < done.size(); ++i) {
    if (!done[i]) stalled.push_back(i);
  }
  return stalled;
}

void DataPlane::drain() {
  on_all([](DataLoop& data_loop, size_t) { data_loop.server.drain(); },
         std::chrono::milliseconds{1000});
}

void DataPlane::stop() {
  if (!running_) return;
  for (const auto& data_loop : loops_)
    data_loop->loop->stop();
  for (const auto& data_loop : loops_)
    data_loop->thread.join();
  running_ = false;
}

void DataPlane::expect_bans(const config::Config& config) {
  std::chrono::seconds longest{0};
  for (const config::BanRule& rule : config.ban_rules)
    longest = std::max(longest, rule.ban);
  shared_.banned_until.extend(loops_.front()->loop->clock().monotonic() + longest);
}

DataPlane::Bans DataPlane::started_bans(std::chrono::milliseconds patience) {
  using OfLoops = std::vector<std::vector<gateway::StartedBan>>;
  const auto of_loops = std::make_shared<OfLoops>(loops_.size());
  const auto done = on_all(
      [of_loops](DataLoop& data_loop, size_t index) {
        (*of_loops)[index] = data_loop.gateway.started_bans().all();
      },
      patience);
  Bans result;
  for (size_t i = 0; i < done.size(); ++i) {
    result.complete = result.complete && done[i];
    if (!done[i]) continue;
    result.bans.insert(result.bans.end(), (*of_loops)[i].begin(), (*of_loops)[i].end());
  }
  std::sort(result.bans.begin(), result.bans.end(),
            [](const auto& a, const auto& b) { return a.at < b.at; });
  return result;
}

std::vector<LoopCounts> DataPlane::counts(std::chrono::milliseconds patience) {
  const auto counts = std::make_shared<std::vector<LoopCounts>>(loops_.size());
  const auto done = on_all(
      [counts](DataLoop& data_loop, size_t index) {
        LoopCounts& own = (*counts)[index];
        own.connections = data_loop.context.counts;
        own.gateway = data_loop.gateway.counts();
        own.exchanges_in_progress = data_loop.gateway.exchanges_in_progress();
        own.upstream_idle = data_loop.pool.idle_count();
        own.open_connections = data_loop.server.connection_count();
      },
      patience);
  std::vector<LoopCounts> result(loops_.size());
  for (size_t i = 0; i < done.size(); ++i) {
    if (!done[i]) continue;
    result[i] = (*counts)[i];
    result[i].answered = true;
  }
  return result;
}

}  // namespace weir::app
