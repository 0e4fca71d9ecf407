// The audit finds every sum that is wrong, and nothing where all is right.

#include "pipeline/audit.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using testing::kStream;
using testing::Rig;
using traffic::Event;
using traffic::EventFlag;

// Something of everything: detail rows in two days and hours, counts without rows, a dead letter, a
// lost record, degraded counts.
void load(Rig& rig) {
  for (const char* const path : {"/a", "/b", "/a"})
    rig.journal.append(kStream, rig.event(path));
  rig.clock.advance(std::chrono::hours{25});
  rig.journal.append(kStream, rig.event("/a"));
  Event sampled = rig.event("/c");
  sampled.flags = EventFlag::kSampledOut;
  rig.journal.append(kStream, sampled);
  Event total = rig.event("/x");
  total.flags = EventFlag::kUnrouted | EventFlag::kTotalsOnly;
  rig.journal.append(kStream, total);
  rig.journal.append_bytes(kStream, "rubbish");
  rig.journal.lose(kStream, 2);
  rig.journal.append(kStream, rig.event("/d"));
  const int64_t hour = base::unix_ms(rig.clock.wall()) / 3'600'000;
  rig.journal.add_side({kStream, 1, {{"/a", hour, false, 5, 0, 500, 5, 5}}});
}

struct Tampering {
  const char* sql;
  const char* identity;  // One that must differ; others may too.
};

// Goal: each identity can fail. Method: one row is changed behind the consumer's back.
TEST(AuditTest, EverySumThatIsWrongIsFound) {
  static constexpr Tampering kTamperings[] = {
      {"UPDATE positions SET sequence = sequence + 1", "every position is accounted for"},
      {"DELETE FROM events WHERE seq = 2",
       "every inserted event has a row, live or archived and cleaned"},
      {"UPDATE events SET sequence = 1 WHERE seq = 2", "no position has two rows"},
      {"UPDATE events SET sequence = 1000 WHERE seq = 2", "no row is beyond its position"},
      {"UPDATE events SET epoch = 9 WHERE seq = 2", "no row is beyond its position"},
      {"UPDATE events SET id = (SELECT id FROM events WHERE seq = 1) WHERE seq = 2",
       "no id has two rows"},
      {"DELETE FROM dead_letters", "every dead letter is kept, or was purged"},
      {"UPDATE meta SET value = value + 1 WHERE name = 'next_seq'",
       "every counted event has its number"},
      {"UPDATE day_ledger SET lost = lost + 1 WHERE day = (SELECT max(day) FROM day_ledger)",
       "the ledger of days has what the positions have"},
      {"UPDATE adjustments SET requests = requests + 1 WHERE hour = (SELECT max(hour) FROM"
       " adjustments) AND path_id = (SELECT max(path_id) FROM adjustments)",
       "every count without detail is kept apart, live or archived"},
      {"UPDATE degraded_generations SET requests = 6",
       "the ledger of days has what was counted without detail"},
      {"UPDATE hourly SET requests = requests - 1 WHERE requests = 2",
       "the hours of every day add up to its ledger"},
      {"UPDATE totals SET requests = requests + 1 WHERE hour = (SELECT min(hour) FROM totals)",
       "no day differs from its ledger"},
      {"UPDATE hourly SET method_get = method_get - 1, method_put = 1 WHERE requests = 2",
       "the totals are the sums of the paths"},
      {"UPDATE hourly SET us_max = us_max + 1", "no total differs from its paths"},
      {"UPDATE hourly SET bytes_in = bytes_in + 1", "no total differs from its paths"},
      {"UPDATE events SET path_id = (SELECT path_id FROM paths WHERE path = '/b')",
       "no path and hour has more rows than requests"},
      {"UPDATE events SET us = us + 1000000", "no path and hour has more rows than requests"},
      {"UPDATE client_daily SET requests = requests + 1",
       "the client rows of every day count its events"},
      {"INSERT INTO client_paths SELECT day, client, 1, requests + 1 FROM client_daily LIMIT 1",
       "no client's lists say more than its requests"},
      {"INSERT INTO slim_events VALUES(1, 0, 1, 200, 0, 0, NULL, 0, 0, 0)",
       "what is folded leaves nothing behind"},
      {"INSERT INTO archive_parts VALUES(0, 1, 'k', 0, 9, 0, 0, 0, 0, 'pending', NULL, 0, 0, NULL,"
       " 9, 1, 0, NULL)",
       "nothing is cleaned that is not archived"},
  };
  for (const Tampering& tampering : kTamperings) {
    SCOPED_TRACE(tampering.sql);
    Rig rig;
    load(rig);
    ASSERT_TRUE(rig.drain());
    ASSERT_EQ(rig.audit(), "");
    ASSERT_TRUE(rig.database->execute(tampering.sql).ok()) << rig.database->message();
    EXPECT_NE(rig.audit().find(std::string{tampering.identity} + ": "), std::string::npos)
        << rig.audit();
  }
}

TEST(AuditTest, AnEmptyDatabaseBalances) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.audit(), "");
}

TEST(AuditTest, WhatIsNotFoldedYetIsSkippedWithAReason) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  rig.journal.append(kStream, rig.event("/a"));
  while (rig.number("SELECT count(*) FROM events") == 0)
    rig.clock.advance(rig.consumer->step().wait);
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  const AuditReport report = audit(reader, rig.clock, {}).value();
  EXPECT_TRUE(report.balanced());
  EXPECT_EQ(report.count(Verdict::skipped), 3U);
  EXPECT_EQ(report.count(Verdict::agrees), report.findings.size() - 3);
}

TEST(AuditTest, RaisingTheFlagEndsIt) {
  Rig rig;
  ASSERT_TRUE(rig.drain());
  sqlite::Database reader{rig.path(), {.access = sqlite::Access::query_only}};
  ASSERT_TRUE(reader.open().ok());
  const std::atomic<bool> cancel{true};
  const auto report = audit(reader, rig.clock, {.cancel = &cancel});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.error().code, base::ErrorCode::cancelled);
}

}  // namespace
}  // namespace weir::pipeline
