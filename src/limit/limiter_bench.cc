// What a charge costs: nanoseconds a thread for one client that all ask for (hot), and for a
// million clients. Usage: limit_bench; prints JSON: by number of threads, nanoseconds of processor
// time a charge, of one hot client under a limit of 60 and of 100,000, and among a million clients.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <thread>
#include <vector>

#include "base/random.h"
#include "limit/limiter.h"

namespace {

using weir::limit::Charge;
using weir::limit::Limiter;
using weir::limit::Rule;

double ns_per_charge(size_t threads_count, bool hot, uint32_t requests) {
  Limiter limiter{1'000'000, 42};
  constexpr int kRounds = 400'000;
  std::vector<std::thread> threads;
  const std::clock_t begun = std::clock();  // Processor time of all threads.
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
        const Charge charge{limiter.address_key(Rule{"route"}, address, 64),
                            {.requests = requests, .window = std::chrono::seconds{60}}};
        limiter.admit({&charge, 1}, now, {&room, 1});
      }
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  const double seconds = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
  return seconds * 1e9 / kRounds / static_cast<double>(threads_count);
}

}  // namespace

int main() {
  std::printf("{");
  const char* comma = "";
  for (const size_t threads : {size_t{1}, size_t{4}, size_t{16}}) {
    std::printf("%s\"%zu\": {\"hot_ns\": %.0f, \"hot_large_ns\": %.0f, \"million_ns\": %.0f}",
                comma, threads, ns_per_charge(threads, true, 60),
                ns_per_charge(threads, true, 100'000), ns_per_charge(threads, false, 60));
    comma = ", ";
  }
  std::printf("}\n");
}
