#include "http/head_scanner.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"

namespace weir::http {
namespace {

struct Outcome {
  size_t length = 0;  // 0: no head yet, or an error.
  Malformed error = Malformed::none;
  bool operator==(const Outcome&) const = default;
};

// Shows `bytes` in pieces of at most `piece_bytes`, each time in a new place in memory.
template <typename Limits>
Outcome scan(std::string_view bytes, size_t piece_bytes, const Limits& limits) {
  HeadScanner scanner{limits};
  for (size_t seen = 0; seen < bytes.size();) {
    seen = std::min(bytes.size(), seen + piece_bytes);
    const std::string so_far{bytes.substr(0, seen)};
    const auto found = scanner.scan(so_far);
    if (!found.ok()) return {0, found.error()};
    if (found.value()) return {*found.value()};
  }
  return {};
}

Outcome scan(std::string_view bytes, const RequestLimits& limits = {}) {
  return scan(bytes, bytes.size(), limits);
}

constexpr std::string_view kHead = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

TEST(HeadScannerTest, FindsTheEndAndLeavesTheBodyAlone) {
  EXPECT_EQ(scan(std::string{kHead} + "body\n\r").length, kHead.size());
  EXPECT_EQ(scan("GET / HTTP/1.1\r\n\r\n").length, 18U);
}

TEST(HeadScannerTest, WaitsForEveryByteOfTheHead) {
  for (size_t size = 0; size < kHead.size(); ++size) {
    EXPECT_EQ(scan(kHead.substr(0, size)), Outcome{}) << size;
  }
}

TEST(HeadScannerTest, SkipsOneEmptyLineBeforeARequestAndNoneBeforeAResponse) {
  EXPECT_EQ(scan("\r\n" + std::string{kHead}).length, kHead.size() + 2);
  EXPECT_EQ(scan("\r\n\r\n" + std::string{kHead}).error, Malformed::request_line);
  EXPECT_EQ(scan("\r\nHTTP/1.1 200 \r\n\r\n", 99, ResponseLimits{}).error, Malformed::status_line);
}

TEST(HeadScannerTest, RefusesAtOnceWhatNoLaterByteCouldMend) {
  for (const auto& [bytes, kind] : std::vector<std::pair<std::string, Malformed>>{
           {"\n", Malformed::bare_lf},
           {"GET / HTTP/1.1\n", Malformed::bare_lf},
           {"GET / HTTP/1.1\r\nA: b\n", Malformed::bare_lf},
           {"\rG", Malformed::bare_cr},
           {"GET / HTTP/1.1\r\r", Malformed::bare_cr},
           {"GET / HTTP/1.1\r\n\rX", Malformed::bare_cr},
           {std::string{"GET /\0", 6}, Malformed::nul},
       }) {
    EXPECT_EQ(scan(bytes).error, kind) << bytes;
    EXPECT_EQ(scan(std::string_view{bytes}.substr(0, bytes.size() - 1)), Outcome{}) << bytes;
  }
}

TEST(HeadScannerTest, LimitsTheRequestLineExactly) {
  const RequestLimits limits{.target_bytes_max = 100};
  // The longest line that a target of 100 bytes can be in: the longest method, and the version.
  const std::string line =
      std::string(kMethodBytesMax, 'A') + " " + std::string(100, '/') + " HTTP/1.1";
  EXPECT_EQ(scan(line + "\r\n\r\n", limits).length, line.size() + 4);
  EXPECT_EQ(scan(line, limits), Outcome{});
  EXPECT_EQ(scan(line + "\r", limits), Outcome{});
  EXPECT_EQ(scan(line + "1", limits).error, Malformed::target_too_long);
  EXPECT_EQ(scan(line + "1\r\n\r\n", limits).error, Malformed::target_too_long);
  EXPECT_EQ(scan("\r\n" + line + "\r\n\r\n", limits).length, line.size() + 6);
  EXPECT_EQ(scan("\r\n" + line + "1", limits).error, Malformed::target_too_long);
}

TEST(HeadScannerTest, LimitsTheHeadExactlyAndRefusesAsSoonAsItCannotEnd) {
  const RequestLimits limits{.header_bytes_max = kHead.size()};
  EXPECT_EQ(scan(kHead, limits).length, kHead.size());
  EXPECT_EQ(scan("\r\n" + std::string{kHead}, limits).length, kHead.size() + 2);
  const RequestLimits tighter{.header_bytes_max = kHead.size() - 1};
  EXPECT_EQ(scan(kHead, tighter).error, Malformed::header_too_large);
  EXPECT_EQ(scan(kHead.substr(0, kHead.size() - 1), tighter).error, Malformed::header_too_large);
  EXPECT_EQ(scan(kHead.substr(0, kHead.size() - 2), tighter), Outcome{});
  EXPECT_EQ(scan(std::string(50, 'a'), {.header_bytes_max = 50}).error, Malformed::target_too_long);
  const ResponseLimits response{.header_bytes_max = 50};
  EXPECT_EQ(scan(std::string(49, 'a'), 1, response), Outcome{});
  EXPECT_EQ(scan(std::string(50, 'a'), 1, response).error, Malformed::header_too_large);
}

TEST(HeadScannerTest, AcceptsLimitsThatAreNoLimits) {
  const RequestLimits limits{.header_bytes_max = SIZE_MAX, .target_bytes_max = SIZE_MAX};
  EXPECT_EQ(scan(kHead, limits).length, kHead.size());
}

TEST(HeadScannerTest, StartsAfreshAfterReset) {
  HeadScanner scanner{RequestLimits{}};
  EXPECT_EQ(*scanner.scan(kHead).value(), kHead.size());
  scanner.reset();
  EXPECT_EQ(scanner.scan(kHead.substr(0, 5)).value(), std::nullopt);
  EXPECT_EQ(*scanner.scan(kHead).value(), kHead.size());
}

// Goal: no behaviour may depend on how TCP happened to split the bytes. Method: build random heads
// out of the bytes that matter, scan each whole, and in pieces of every size, under narrow limits.
TEST(HeadScannerTest, OutcomeDoesNotDependOnHowTheInputIsSplit) {
  constexpr uint64_t kSeed = 20251015;
  base::Random random{kSeed};
  const std::vector<std::string> parts{
      "\r\n", "\r\n",      "\r\n", "\r\n\r\n",          "\r", "\n", "a",
      "bb",   "ccccccccc", "\t",   std::string(1, '\0')};
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes;
    while (bytes.size() < 60) {
      // The first parts are ordinary, and more likely, so that many heads end well.
      const uint64_t bound = random.below(8) == 0 ? parts.size() : 10;
      size_t index = random.below(bound);
      if ((index == 4 || index == 5) && random.below(4) != 0) index = 6;
      bytes += parts[index];
    }
    const RequestLimits limits{.header_bytes_max = 20 + random.below(60),
                               .target_bytes_max = random.below(20)};
    const Outcome whole = scan(bytes, limits);
    for (const size_t piece_bytes : {1U, 2U, 3U, 7U, 16U}) {
      ASSERT_EQ(scan(bytes, piece_bytes, limits), whole)
          << testing::PrintToString(bytes) << " in " << piece_bytes << ", seed " << kSeed;
    }
  }
}

}  // namespace
}  // namespace weir::http
