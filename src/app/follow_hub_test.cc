#include "app/follow_hub.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weir::app {
namespace {

using base::LogLevel;

class FollowHubTest : public ::testing::Test {
 protected:
  FollowHubTest() {
    hub.set_notice([this] { ++notices; });
  }

  base::ManualClock clock;
  FollowHub hub{clock};
  int notices = 0;
};

TEST_F(FollowHubTest, AFollowerGetsEveryLineOnceAndOneNoticePerLook) {
  hub.log(LogLevel::info, "", "before");
  const auto lines = hub.follow({});
  hub.log(LogLevel::info, "📦 Queue Batch", "3 records");
  hub.log(LogLevel::error, "", "bad");
  EXPECT_EQ(notices, 1);
  const std::string got = lines->next();
  EXPECT_EQ(got.find("📦 Queue Batch 3 records"), 0U) << got;
  EXPECT_NE(got.find("error   bad\n"), std::string::npos) << got;
  EXPECT_EQ(got.find("before"), std::string::npos);
  EXPECT_EQ(lines->next(), "");
  hub.log(LogLevel::info, "", "more");
  EXPECT_EQ(notices, 2);
}

TEST_F(FollowHubTest, EventsAndLogLinesHaveATypeInJson) {
  const auto lines = hub.follow({.json = true});
  traffic::Event event;
  event.path = "/a\"b";
  event.method = "GET";
  event.status = 204;
  hub.on_events({&event, 1});
  hub.log(LogLevel::info, "✅ Aggregated", "1 events");
  const std::string got = lines->next();
  EXPECT_EQ(got.find(R"({"type":"event","time":)"), 0U) << got;
  EXPECT_NE(got.find(R"("path":"/a\"b")"), std::string::npos) << got;
  EXPECT_NE(got.find("}\n{\"type\":\"log\",\"time\":"), std::string::npos) << got;
  EXPECT_NE(got.find(R"("marker":"✅ Aggregated","message":"1 events"})"), std::string::npos) << got;
}

TEST_F(FollowHubTest, OnlyLinesWithTheTextReachWhoAskedForIt) {
  const auto some = hub.follow({.grep = "blue"});
  const auto all = hub.follow({});
  hub.log(LogLevel::info, "", "a red one");
  EXPECT_EQ(some->next(), "");
  hub.log(LogLevel::info, "", "a blue one");
  EXPECT_NE(some->next().find("a blue one"), std::string::npos);
  EXPECT_NE(all->next().find("a red one"), std::string::npos);
}

TEST_F(FollowHubTest, WhatASlowReaderMissesIsCountedAndSaidWhereItWasLost) {
  const auto slow = hub.follow({});
  const auto quick = hub.follow({});
  const std::string text(1000, 'x');
  hub.log(LogLevel::info, "", text);
  const size_t line_bytes = quick->next().size();
  const size_t fitting = FollowHub::kPendingBytesMax / line_bytes;
  for (size_t i = 1; i < fitting; ++i)
    hub.log(LogLevel::info, "", text);
  EXPECT_EQ(slow->next().size(), fitting * line_bytes);
  for (size_t i = 0; i < fitting + 3; ++i)
    hub.log(LogLevel::info, "", text);
  hub.log(LogLevel::info, "", "y");  // Would fit, but comes after the loss.
  const std::string got = slow->next();
  const std::string note = "… 4 lines were lost: this reader is too slow\n";
  EXPECT_EQ(got.size(), fitting * line_bytes + note.size());
  EXPECT_TRUE(got.ends_with(note));
  hub.log(LogLevel::info, "", "z");
  EXPECT_NE(slow->next().find(" z\n"), std::string::npos);
}

TEST_F(FollowHubTest, EightFollowAndANinthIsRefusedUntilOneLeaves) {
  std::vector<std::unique_ptr<LineStream>> streams;
  for (size_t i = 0; i < FollowHub::kFollowersMax; ++i)
    ASSERT_NE(streams.emplace_back(hub.follow({})), nullptr);
  EXPECT_EQ(hub.follow({}), nullptr);
  streams.pop_back();
  EXPECT_EQ(hub.followers(), FollowHub::kFollowersMax - 1);
  EXPECT_NE(hub.follow({}), nullptr);
}

// Goal: a reader that stands still must not silence the others. Method: one never looks.
TEST_F(FollowHubTest, AReaderThatStandsStillKeepsNoNoticeFromOthers) {
  const auto still = hub.follow({});
  const auto lively = hub.follow({});
  for (int i = 0; i < 3; ++i) {
    hub.log(LogLevel::info, "", "line");
    EXPECT_EQ(notices, i + 1);
    EXPECT_NE(lively->next(), "");
  }
  EXPECT_NE(still->next(), "");
}

}  // namespace
}  // namespace weir::app
