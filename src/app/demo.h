#pragma once
// The built-in upstream and routes of `weir demo`: enough to see every part of the flow without
// setting anything up.

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "loop/loop.h"

namespace weir::app {

// A small HTTP server on a port of 127.0.0.1 that the kernel chooses. Any path answers 200 and
// tells what arrived; /slow takes 300 ms; /status/404 answers 404, and so on for 200 to 599.
//
// Ownership: owns its loop and thread.
// Threading: the control thread.
class DemoUpstream {
 public:
  static base::Result<std::unique_ptr<DemoUpstream>> start(base::Clock& clock);
  ~DemoUpstream();
  DemoUpstream(const DemoUpstream&) = delete;
  DemoUpstream& operator=(const DemoUpstream&) = delete;

  uint16_t port() const { return port_; }

 private:
  class Server;
  DemoUpstream() = default;

  std::unique_ptr<loop::Loop> loop_;
  std::unique_ptr<Server> server_;
  uint16_t port_ = 0;
  std::thread thread_;
};

// A weir.toml with demo routes to that upstream. `countries_file`: a database of countries, which
// adds a rule; clients may then say where they come from with X-Forwarded-For. Empty: none.
std::string demo_configuration(uint16_t upstream_port, const std::string& countries_file);
// What to try, for the terminal.
std::string demo_guide(const std::string& data_dir, bool knows_countries);

}  // namespace weir::app
