// What happens to dead letters when an operator looks after them.

#include <limits>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "pipeline/testing/rig.h"

namespace weir::pipeline {
namespace {

using sqlite::testing::Fault;
using sqlite::testing::Spell;
using testing::kStream;
using testing::Rig;
using traffic::Event;
using Action = LettersRequest::Action;

// As many letters of events that were good all along: a sum stands in the way of each, and goes.
void make_letters(Rig& rig, int count) {
  Event huge = rig.event("/a");
  huge.duration_us = std::numeric_limits<int64_t>::max();
  rig.journal.append(kStream, huge);
  ASSERT_TRUE(rig.drain());
  for (int i = 0; i < count; ++i)
    rig.journal.append(kStream, rig.event("/a"));
  ASSERT_TRUE(rig.drain());
  ASSERT_EQ(rig.number("SELECT count(*) FROM dead_letters"), count);
  ASSERT_TRUE(rig.database
                  ->execute("UPDATE hourly SET us_sum = 1; UPDATE totals SET us_sum = 1;"
                            "UPDATE events SET us = 1")
                  .ok());
}

// Serves a request to its end; false: it never ended.
bool serve(Rig& rig, Action action, std::vector<int64_t> ids = {}) {
  const uint64_t number = rig.consumer->report().letters.done_request + 1;
  rig.consumer->request_letters({number, action, std::move(ids)});
  return rig.drain() && rig.consumer->report().letters.done_request == number;
}

TEST(DeadLettersTest, ALetterIsCountedOnceWhenNothingStandsInItsWay) {
  Rig rig;
  make_letters(rig, 3);
  EXPECT_EQ(rig.consumer->report().letters_waiting, 3U);
  const size_t shown = rig.sink.paths.size();
  ASSERT_TRUE(serve(rig, Action::replay));
  EXPECT_EQ(rig.consumer->report().letters.replayed, 3U);
  EXPECT_EQ(rig.consumer->report().letters.refused, 0U);
  EXPECT_EQ(rig.consumer->report().letters_waiting, 0U);
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 4);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 4);
  EXPECT_EQ(rig.text("SELECT sum(inserted), sum(dead) FROM positions"), "4|0");
  EXPECT_EQ(rig.text("SELECT sum(inserted), sum(dead) FROM day_ledger"), "4|0");
  EXPECT_EQ(rig.number("SELECT count(DISTINCT sequence) FROM events"), 4);
  EXPECT_EQ(rig.sink.paths.size(), shown + 3);
  EXPECT_EQ(rig.audit(), "");
  ASSERT_TRUE(serve(rig, Action::replay));
  EXPECT_EQ(rig.consumer->report().letters.replayed, 0U);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 4);
}

TEST(DeadLettersTest, OnlyNamedLettersAreServed) {
  Rig rig;
  make_letters(rig, 4);
  const int64_t first = rig.number("SELECT min(letter_id) FROM dead_letters");
  ASSERT_TRUE(serve(rig, Action::replay, {first + 2, first, 999, -5}));
  EXPECT_EQ(rig.consumer->report().letters.replayed, 2U);
  EXPECT_EQ(rig.text("SELECT group_concat(letter_id) FROM dead_letters"),
            fmt::format("{},{}", first + 1, first + 3));
  ASSERT_TRUE(serve(rig, Action::purge, {first + 3}));
  EXPECT_EQ(rig.consumer->report().letters.purged, 1U);
  EXPECT_EQ(rig.number("SELECT letter_id FROM dead_letters"), first + 1);
  EXPECT_EQ(rig.audit(), "");
}

TEST(DeadLettersTest, PurgedLettersStayDeadInEveryAccount) {
  Rig rig;
  make_letters(rig, 3);
  ASSERT_TRUE(serve(rig, Action::purge));
  EXPECT_EQ(rig.consumer->report().letters.purged, 3U);
  EXPECT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 0);
  EXPECT_EQ(rig.number("SELECT sum(dead) FROM positions"), 3);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 1);
  EXPECT_EQ(rig.audit(), "");
}

TEST(DeadLettersTest, WhatCannotBeCountedStays) {
  Rig rig;
  rig.journal.append_bytes(kStream, "rubbish");
  const Event event = rig.event("/a");
  rig.journal.append(kStream, event);
  rig.journal.append(kStream, event);  // The same id.
  Event impossible = rig.event("/a");
  impossible.status = 999;
  rig.journal.append(kStream, impossible);
  ASSERT_TRUE(rig.drain());
  ASSERT_TRUE(serve(rig, Action::replay));
  EXPECT_EQ(rig.consumer->report().letters.refused, 3U);
  EXPECT_EQ(rig.consumer->report().letters.replayed, 0U);
  EXPECT_EQ(rig.text("SELECT group_concat(reason) FROM dead_letters"),
            "undecodable,duplicate_id,invalid_event");
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 1);
  EXPECT_EQ(rig.audit(), "");
}

TEST(DeadLettersTest, OnePoisonousLetterDoesNotKeepTheOthersDead) {
  Rig rig;
  make_letters(rig, 3);
  Event huge = rig.event("/a");
  huge.duration_us = std::numeric_limits<int64_t>::max();
  rig.journal.append(kStream, huge);
  ASSERT_TRUE(rig.drain());
  ASSERT_EQ(rig.number("SELECT count(*) FROM dead_letters"), 4);
  ASSERT_TRUE(serve(rig, Action::replay));
  EXPECT_EQ(rig.consumer->report().letters.replayed, 3U);
  EXPECT_EQ(rig.consumer->report().letters.refused, 1U);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 4);
  EXPECT_EQ(rig.audit(), "");
}

TEST(DeadLettersTest, ManyAreServedInSlicesWhileTrafficGoesOn) {
  Rig rig{{.batch_events_max = 64}};
  make_letters(rig, 700);
  rig.consumer->request_letters({1, Action::replay, {}});
  for (int i = 0; i < 300; ++i)
    rig.journal.append(kStream, rig.event("/b"));
  ASSERT_TRUE(rig.drain());
  EXPECT_EQ(rig.consumer->report().letters.replayed, 700U);
  EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 1001);
  EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 1001);
  EXPECT_EQ(rig.audit(), "");
}

// Goal: a replay that fails or is killed anywhere counts each letter once. Method: operation 0,
// 1, ... of the disk fails for good, the process dies, and the request is made again.
TEST(DeadLettersTest, AReplayKilledAtAnyOperationCountsOnce) {
  bool struck = true;
  int64_t nth = 0;
  for (; struck; ++nth) {
    SCOPED_TRACE(nth);
    Rig rig;
    make_letters(rig, 5);
    rig.vfs.fail_at(nth, Fault::io_error, Spell::for_ever);
    rig.consumer->request_letters({1, Action::replay, {}});
    rig.drain(8);
    struck = rig.vfs.struck();
    rig.crash();
    rig.vfs.heal();
    rig.start();
    ASSERT_TRUE(rig.drain());
    ASSERT_TRUE(serve(rig, Action::replay));
    EXPECT_EQ(rig.number("SELECT count(*) FROM events"), 6);
    EXPECT_EQ(rig.number("SELECT sum(requests) FROM hourly"), 6);
    EXPECT_EQ(rig.audit(), "");
    if (HasFailure()) return;
  }
  EXPECT_GT(nth, 5) << "the loop above must have failed many operations";
}

}  // namespace
}  // namespace weir::pipeline
