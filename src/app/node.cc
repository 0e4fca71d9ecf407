#include "app/node.h"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>
#include <thread>

#include <unistd.h>

#include "admin/admin_server.h"
#include "app/control_socket.h"
#include "app/data_plane.h"
#include "app/resolver.h"
#include "app/signals.h"
#include "config/endpoint.h"
#include "config/load.h"
#include "gateway/endpoint_table.h"
#include "net/socket.h"
#include "os/clock.h"
#include "os/random.h"
#include "traffic/ring_recorder.h"

namespace weir::app {
namespace {

class NoIdentity final : public gateway::ClientIdentity {
 public:
  uint64_t hash(const config::IpAddress&) const override { return 1; }
};

}  // namespace

int serve(const ServeOptions& options) {
  block_signals();
  os::RealClock clock;
  std::ifstream file(options.config_file);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  config::LoadResult loaded = config::load(text, options.config_file, options.environment);
  for (const auto& problem : loaded.problems) {
    std::fprintf(stderr, "%s\n", config::to_string(problem).c_str());
  }
  if (!loaded.ok()) return 1;
  auto config = std::make_shared<const config::Config>(std::move(loaded.config));
  const uint32_t loops =
      config->server.workers == 0 ? std::thread::hardware_concurrency() : config->server.workers;
  std::vector<std::unique_ptr<traffic::Recorder>> recorders;
  std::vector<traffic::Recorder*> borrowed;
  for (uint32_t i = 0; i < loops; ++i) {
    recorders.push_back(std::make_unique<traffic::NullRecorder>(i));
    borrowed.push_back(recorders.back().get());
  }
  NoIdentity identity;
  auto plane = DataPlane::create({.loops = loops}, clock, borrowed, identity);
  if (!plane.ok()) return 1;
  DataPlane& data_plane = *plane.value();
  for (uint32_t i = 0; i < config->traffic.size(); ++i) {
    const auto address = net::SocketAddress::parse(config->traffic[i].address);
    const auto status = data_plane.listen(address.value(), {.index = i});
    if (!status.ok()) {
      std::fprintf(stderr, "weir: %s: %s\n", config->traffic[i].address.c_str(),
                   std::string(status.error().what.view()).c_str());
      return 1;
    }
  }
  gateway::EndpointTable endpoints;
  data_plane.start(endpoints.build(config, 1, {}));
  auto control = loop::Loop::create(clock);
  loop::Loop& loop = *control.value();
  auto signals = Signals::open(loop, [&](int) { loop.stop(); });
  loop.run();
  data_plane.drain();
  data_plane.stop();
  return 0;
}

}  // namespace weir::app
