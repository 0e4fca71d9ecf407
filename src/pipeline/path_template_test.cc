// How the consumer groups paths by their templates, limits included.
#include <cstdlib>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <malloc.h>
#if defined(__SANITIZE_ADDRESS__)
extern "C" size_t
__sanitizer_get_current_allocated_bytes();  // NOLINT(bugprone-reserved-identifier):
                                            // the sanitizer names it.
#endif

#include "base/random.h"
#include "pipeline/template_cache.h"
#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using testing::kStream;
using testing::Rig;
using traffic::Event;
using traffic::EventFlag;

std::shared_ptr<const codec::PathTemplates> templates(std::vector<codec::PathRule> rules = {}) {
  return codec::PathTemplates::create({true, std::move(rules)}).value();
}

constexpr const char* kHourly =
    "SELECT group_concat(path || '=' || requests) FROM (SELECT * FROM path_stats_hourly"
    " ORDER BY path)";

TEST(PathTemplateTest, ExchangesAreCountedUnderTheTemplateAndKeepTheirPath) {
  Rig rig{{.templates = templates()}};
  for (const char* const path : {"/users/1/a", "/users/2/a", "/users/me/a", "/users/{id}/a", "/3"})
    rig.journal.append(kStream, rig.event(path));
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text(kHourly), "/users/me/a=1,/users/{id}/a=3,/{id}=1");
  EXPECT_EQ(rig.text("SELECT group_concat(path || '<' || raw_path) FROM exchanges"),
            "/users/{id}/a</users/1/a,/users/{id}/a</users/2/a,/users/me/a</users/me/a,"
            "/users/{id}/a</users/{id}/a,/{id}</3");
  EXPECT_EQ(rig.number("SELECT count(*) FROM events WHERE raw_path IS NULL"), 2)
      << "stored only where it differs";
  EXPECT_EQ(rig.audit(), "");
}

TEST(PathTemplateTest, TheFoundingViewShowsThePathAsItCame) {
  Rig rig{{.paths = {.per_route = 1, .in_all = 100}, .templates = templates()}};
  for (const char* const path : {"/users/1", "/users/2", "/beyond"})
    rig.journal.append(kStream, rig.event(path));
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT group_concat(path) FROM traffic_events"), "/users/1,/users/2,/beyond");
  EXPECT_EQ(rig.text(kHourly), "/users/{id}=2,__other__=1");
}

TEST(PathTemplateTest, NamesInThePlaceOfAPathAreNeverTemplates) {
  Rig rig{{.templates = templates({{".*", "{all}"}, {"/?.*", "/{all}"}})}};
  Event malformed = rig.event("");
  malformed.flags = EventFlag::kMalformed | EventFlag::kTotalsOnly;
  malformed.status = 400;
  Event unrouted = rig.event("/1");
  unrouted.flags = EventFlag::kUnrouted | EventFlag::kTotalsOnly;
  for (const Event& event : {malformed, unrouted, rig.event("*"), rig.event("/x/y")})
    rig.journal.append(kStream, event);
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text(kHourly), "*=1,/{all}=1,__malformed__=1,__unrouted__=1");
  EXPECT_EQ(rig.audit(), "");
}

TEST(PathTemplateTest, TheLimitCountsTemplatesAtTheLimitAndOneBeyond) {
  Rig rig{{.paths = {.per_route = 2, .in_all = 100}, .templates = templates()}};
  for (int i = 0; i < 100; ++i) {
    rig.journal.append(kStream, rig.event("/a/" + std::to_string(i)));
    rig.journal.append(kStream, rig.event("/b/" + std::to_string(i)));
  }
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text(kHourly), "/a/{id}=100,/b/{id}=100");
  for (int i = 0; i < 10; ++i)
    rig.journal.append(kStream, rig.event("/c/" + std::to_string(i)));
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text(kHourly), "/a/{id}=100,/b/{id}=100,__other__=10");
  EXPECT_EQ(rig.text("SELECT requests FROM totals"), "210");
  EXPECT_EQ(rig.audit(), "");
}

TEST(PathTemplateTest, DegradedCountsAreGroupedAlike) {
  Rig rig{{.templates = templates()}};
  const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
  rig.journal.append(kStream, rig.event("/users/1"));
  rig.journal.add_side({kStream,
                        1,
                        {{"/users/2", hour, false, 5, 1, 9000, 50, 60},
                         {"/users/3", hour, false, 2, 0, 10, 1, 1},
                         {"/users/3", hour - 1, false, 1, 0, 10, 1, 1}}});
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text("SELECT group_concat(path || '=' || requests) FROM"
                     " (SELECT * FROM path_stats_hourly ORDER BY hour_bucket)"),
            "/users/{id}=1,/users/{id}=8");
  EXPECT_EQ(rig.audit(), "");
}

TEST(PathTemplateTest, NewRulesAndLimitsTakeEffectWithTheNextBatch) {
  Rig rig;
  rig.journal.append(kStream, rig.event("/users/anna"));
  ASSERT_TRUE(rig.drain());
  rig.consumer->set_paths({}, templates({{"a.*", "{a}"}}));
  for (const char* const path : {"/users/anna", "/users/7"})
    rig.journal.append(kStream, rig.event(path));
  ASSERT_TRUE(rig.drain());
  rig.consumer->set_paths({.per_route = 3}, templates({{"[b-z].*", "{b}"}}));
  for (const char* const path : {"/users/anna", "/users/7"})
    rig.journal.append(kStream, rig.event(path));
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.text(kHourly), "/users/anna=1,/users/{a}=1,/users/{id}=1,__other__=2")
      << "\"users\" itself is a segment: /{b}/anna and /{b}/{id} are beyond the limit";
  EXPECT_EQ(rig.audit(), "");
}

// Goal: whatever comes first in a batch, a template and the paths under it share one row for each
// hour. Method: random paths of few kinds, small batches, restarts; against counts of a map.
TEST(PathTemplateTest, EveryPathIsCountedUnderItsTemplateInItsHour) {
  const char* const given = std::getenv("WEIR_SEED");
  const uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : 20251015;
  SCOPED_TRACE(fmt::format("WEIR_SEED={}", seed));
  base::Random random{seed};
  const auto ruled = templates({{"u(.)[0-9]+", R"({user}\1)"}, {"/s/.*", "/s/{rest}"}});
  Rig rig{{.batch_events_max = 50, .templates = ruled}};
  std::map<std::pair<std::string, int64_t>, int64_t> expected;
  std::string scratch;
  for (int i = 0; i < 3000; ++i) {
    static constexpr std::array<std::string_view, 7> kPieces{"1",    "22",      "ux5", "uy77",
                                                             "{id}", "{user}x", "s"};
    std::string path;
    for (uint64_t k = 0; k <= random.below(3); ++k)
      path.append("/").append(kPieces[random.below(kPieces.size())]);
    rig.journal.append(kStream, rig.event(path));
    const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
    ++expected[{std::string{ruled->of(path, scratch)}, hour}];
    if (random.below(40) == 0) rig.consumer->step(Consumer::Close::now);
    if (random.below(400) == 0) rig.clock.advance(std::chrono::minutes{31});
    if (random.below(500) == 0) {
      rig.crash();
      rig.start();
    }
  }
  ASSERT_TRUE(rig.drain());
  for (const auto& [row, requests] : expected) {
    EXPECT_EQ(rig.number(fmt::format("SELECT requests FROM hourly JOIN paths USING (path_id) WHERE"
                                     " path = '{}' AND hour = {}",
                                     row.first, row.second)),
              requests)
        << row.first;
  }
  EXPECT_EQ(rig.number("SELECT count(*) FROM hourly"), static_cast<int64_t>(expected.size()));
  EXPECT_EQ(rig.audit(), "");
}

TEST(TemplateCacheTest, AnswersAsTheTemplatesDoWhateverIsInItsPlace) {
  const auto ruled = templates({{"u.*", "{user}"}});
  TemplateCache cache;
  EXPECT_EQ(cache.of("/u1", 0), "/u1");
  cache.use(ruled);
  for (const char* const path : {"/u1", "/x", "/u1", "", "*", "/x", "/9", "/u2", "/u2"}) {
    std::string scratch;
    EXPECT_EQ(cache.of(path, 3), ruled->of(path, scratch)) << path << ", all in one place";
  }
  const std::string path = "/x";
  EXPECT_EQ(cache.of(path, 3).data(), path.data());
  EXPECT_EQ(cache.of(path, 3).data(), path.data()) << "remembered, and still itself";
  const std::string longest(TemplateCache::kBytesMax, 'u');
  EXPECT_EQ(cache.of("/" + longest, 3), "/{user}");
  cache.use(templates());
  EXPECT_EQ(cache.of("/u1", 3), "/u1") << "nothing is remembered of other rules";
}

// What is allocated, which no allocator's own caches blur.
size_t allocated_bytes() {
#if defined(__SANITIZE_ADDRESS__)
  return __sanitizer_get_current_allocated_bytes();
#else
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
#endif
}

// Goal: memory does not grow with the number of distinct paths. Method: after the limits are
// reached, five times as many distinct paths again; what is allocated grows by less than 10 bytes
// for each (its text alone has over 40), and everything is counted.
TEST(PathTemplateTest, MemoryIsBoundedUnderDistinctPaths) {
  Rig rig{{.batch_events_max = 1024,
           .paths = {.per_route = 500, .in_all = 1000},
           .templates = templates({{"never", "{never}"}})}};
  int made = 0;
  const auto scan = [&](int count) {
    for (int i = 0; i < count; ++i, ++made) {
      const std::string path = fmt::format("/name{}x/{}/padding-that-takes-some-room", made, made);
      Event event = rig.event(path);
      event.flags = EventFlag::kSampledOut;  // Else the test measures the database.
      rig.journal.append(kStream, event);
      if (i % 1024 == 1023) rig.consumer->step(Consumer::Close::now);
    }
    ASSERT_TRUE(rig.drain());
    rig.journal.forget_released();
    rig.sink.paths = {};  // The test's own memory.
    rig.logger.lines = {};
  };
  scan(10'000);
  scan(10'000);  // The database's own caches fill, too.
  const size_t before = allocated_bytes();
  for (int i = 0; i < 5; ++i)
    scan(10'000);
  const size_t after = allocated_bytes();
  EXPECT_LT(after, before + 512 * 1024);
  EXPECT_EQ(rig.number("SELECT count(*) FROM hourly"), 501);
  EXPECT_EQ(rig.number("SELECT requests FROM totals"), 70'000);
  EXPECT_EQ(rig.number("SELECT count(*) FROM paths"), 501);
  EXPECT_EQ(rig.audit(), "");
}

}  // namespace
}  // namespace weir::pipeline
