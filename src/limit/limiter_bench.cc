// What a charge costs: nanoseconds a thread for one client that all ask for (hot), and for a
// million clients. Usage: limit_bench; prints one line for each number of threads.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "base/random.h"
#include "limit/limiter.h"

namespace {

using weir::limit::Charge;
using weir::limit::Limiter;

double ns_per_charge(size_t threads_count, bool hot, uint32_t requests) {
  Limiter limiter{1'000'000, 42};
  constexpr int kRounds = 400'000;
  std::vector<std::thread> threads;
  const auto begun = std::chrono::steady_clock::now();
  for (size_t nth = 0; nth < threads_count; ++nth) {
    threads.emplace_back([&, nth] {
      weir::base::Random random{nth + 1};
      weir::limit::Room room;
      const weir::base::Monotonic now{std::chrono::seconds{1}};
      for (int round = 0; round < kRounds; ++round) {
        std::array<uint8_t, 16> address{};
        address[10] = address[11] = 0xff;
        const uint64_t client = hot ? 1 : random.below(1'000'000);
        for (size_t byte = 0; byte < 4; ++byte)
          address[12 + byte] = static_cast<uint8_t>(client * 4099 >> (8 * byte));
        const Charge charge{limiter.address_key("route", address, 64),
                            {.requests = requests, .window = std::chrono::seconds{60}}};
        limiter.admit({&charge, 1}, now, {&room, 1});
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begun;
  return took.count() / kRounds / static_cast<double>(threads_count);
}

}  // namespace

int main() {
  for (const size_t threads : {size_t{1}, size_t{4}, size_t{16}}) {
    std::printf(
        "%2zu threads: hot client, limit 60: %.0f ns; limit 100000: %.0f ns; a million"
        " clients: %.0f ns\n",
        threads, ns_per_charge(threads, true, 60), ns_per_charge(threads, true, 100'000),
        ns_per_charge(threads, false, 60));
  }
}
