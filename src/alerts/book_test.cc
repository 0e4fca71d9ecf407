#include "alerts/book.h"

#include <array>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/testing/format_page.h"

namespace weir::alerts {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;

constexpr minutes kCooldown{10};

Alert alert(const std::string& key, Severity severity = Severity::warning,
            Source source = Source::live) {
  return {.id = "id-" + key,
          .key = key,
          .severity = severity,
          .source = source,
          .title = "title",
          .message = "message"};
}

Figures known() {
  return {.day = Day{},
          .live = Live{},
          .clients = std::vector<BusyClient>{},
          .alarms = std::vector<NodeAlarm>{}};
}

// "raised a", "over a".
std::vector<std::string> words(const std::vector<BookChange>& changes) {
  constexpr std::array<const char*, 3> kKinds{"raised ", "over ", "refused "};
  std::vector<std::string> words;
  for (const BookChange& change : changes)
    words.push_back(kKinds[static_cast<size_t>(change.kind)] + change.alert.key);
  return words;
}
using Words = std::vector<std::string>;

// A book that is asked once a minute.
struct Desk {
  Words minute(const std::vector<Alert>& firing, const Figures& figures = known()) {
    clock.advance(minutes{1});
    return words(book.evaluate(firing, figures, Moment::of(clock)));
  }
  // What is due, delivered at once: "raised a".
  Words tell() {
    Words told;
    for (const Message& message : book.due(kCooldown, Moment::of(clock))) {
      told.push_back(std::string{to_string(message.event)} + " " + message.alert.key);
      book.delivered(message, Moment::of(clock));
    }
    return told;
  }
  void fail() {
    for (const Message& message : book.due(kCooldown, Moment::of(clock)))
      book.failed(message, Moment::of(clock));
  }
  void end(const std::string& key) {
    EXPECT_EQ(minute({}), Words{});
    EXPECT_EQ(minute({}), Words{});
    EXPECT_EQ(minute({}), Words{"over " + key});
  }

  base::ManualClock clock;
  Book book;
};

TEST(BookTest, AnAlertIsRaisedAtOnceAndOverAfterThreeEvaluationsWithoutIt) {
  Desk desk;
  EXPECT_EQ(desk.minute({alert("a")}), Words{"raised a"});
  EXPECT_EQ(desk.minute({alert("a")}), Words{});
  desk.end("a");
  EXPECT_EQ(desk.minute({}), Words{});
}

TEST(BookTest, AFigureThatWobblesAroundItsBoundRaisesOneAlertAndSendsOneMessage) {
  Desk desk;
  Words changes;
  Words told;
  for (int i = 0; i < 60; ++i) {
    const bool fires = i % 3 == 0;
    for (std::string& word : desk.minute(fires ? std::vector{alert("a")} : std::vector<Alert>{}))
      changes.push_back(std::move(word));
    for (std::string& word : desk.tell())
      told.push_back(std::move(word));
  }
  EXPECT_EQ(changes, Words{"raised a"});
  // After 10, 20 and 40 minutes more.
  EXPECT_EQ(told, (Words{"raised a", "reminder a", "reminder a"}));
}

TEST(BookTest, WhatIsNotKnownEndsNothing) {
  Desk desk;
  desk.minute({alert("a")});
  Figures figures = known();
  figures.live.reset();
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(desk.minute({}, figures), Words{});
  desk.end("a");
}

TEST(BookTest, AnAlertIsToldOnceAndItsEndToo) {
  Desk desk;
  desk.minute({alert("a")});
  EXPECT_EQ(desk.tell(), Words{"raised a"});
  EXPECT_EQ(desk.tell(), Words{});
  desk.end("a");
  EXPECT_EQ(desk.tell(), Words{"over a"});
  EXPECT_EQ(desk.tell(), Words{});
}

TEST(BookTest, AnAlertThatComesBackWithinTheCooldownWaitsForItsEnd) {
  Desk desk;
  desk.minute({alert("a")});
  EXPECT_EQ(desk.tell(), Words{"raised a"});
  desk.end("a");
  EXPECT_EQ(desk.tell(), Words{"over a"});
  for (int minute = 4; minute < 10; ++minute) {
    desk.minute({alert("a")});
    EXPECT_EQ(desk.tell(), Words{}) << minute;
  }
  desk.minute({alert("a")});
  EXPECT_EQ(desk.tell(), Words{"raised a"});
}

TEST(BookTest, RemindersComeAfterTheCooldownThenTwiceAsLateEachTimeUpToADay) {
  Desk desk;
  std::vector<int> at;
  for (int minute = 0; minute < 6 * 1440; ++minute) {
    desk.minute({alert("a")});
    if (!desk.tell().empty()) at.push_back(minute);
  }
  EXPECT_EQ(at,
            (std::vector<int>{0, 10, 30, 70, 150, 310, 630, 1270, 2550, 3990, 5430, 6870, 8310}));
}

TEST(BookTest, AnAlertThatBecomesCriticalIsToldAfterTheCooldown) {
  Desk desk;
  desk.minute({alert("a")});
  desk.tell();
  for (int i = 0; i < 40; ++i)
    desk.minute({alert("a")});
  EXPECT_EQ(desk.tell(), Words{"reminder a"});
  desk.minute({alert("a", Severity::critical)});
  EXPECT_EQ(desk.tell(), Words{});
  for (int i = 0; i < 8; ++i)
    desk.minute({alert("a", Severity::critical)});
  EXPECT_EQ(desk.tell(), Words{});
  desk.minute({alert("a", Severity::critical)});
  EXPECT_EQ(desk.tell(), Words{"reminder a"});  // Else 20 minutes after the one before.
}

TEST(BookTest, ACriticalAlertThatEndedBeforeItCouldBeToldIsToldWithItsEnd) {
  Desk desk;
  desk.minute({alert("a", Severity::critical), alert("b")});
  desk.fail();
  desk.minute({alert("a"), alert("b")});  // No longer critical when it ends.
  EXPECT_EQ(desk.minute({}), Words{});
  EXPECT_EQ(desk.minute({}), Words{});
  EXPECT_EQ(desk.minute({}), (Words{"over a", "over b"}));
  const std::vector<Message> due = desk.book.due(kCooldown, Moment::of(desk.clock));
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].event, Event::missed);
  EXPECT_EQ(due[0].alert.severity, Severity::critical);
  EXPECT_EQ(*due[0].until_ms - due[0].since_ms, minutes{4} / milliseconds{1});
  EXPECT_EQ(desk.tell(), Words{"missed a"});
  EXPECT_EQ(desk.tell(), Words{});
}

TEST(BookTest, WhatIsOwedOfAnEndIsForgottenAfterADayAndWhereNobodyIsToBeTold) {
  for (const bool forgo : {false, true}) {
    Desk desk;
    desk.minute({alert("a", Severity::critical)});
    desk.end("a");
    if (forgo) {
      desk.book.forgo_ends();
    } else {
      desk.clock.advance(Book::kOwedMax - minutes{1} - milliseconds{1});
      desk.minute({});
      EXPECT_EQ(desk.book.due(kCooldown, Moment::of(desk.clock)).size(), 1U);
    }
    desk.minute({});
    EXPECT_TRUE(desk.book.due(kCooldown, Moment::of(desk.clock)).empty());
    EXPECT_TRUE(desk.book.entries().empty());
  }
}

TEST(BookTest, AFailureIsTriedAgainAfterPausesThatGrow) {
  Desk desk;
  std::vector<int> at;
  for (int minute = 0; minute < 70; ++minute) {
    desk.minute({alert("a")});
    if (desk.book.due(kCooldown, Moment::of(desk.clock)).empty()) continue;
    at.push_back(minute);
    desk.fail();
  }
  EXPECT_EQ(at, (std::vector<int>{0, 1, 3, 7, 15, 30, 45, 60}));
}

TEST(BookTest, CriticalOnesComeFirstAndThoseThatFailedLast) {
  Desk desk;
  desk.minute({alert("a"), alert("b", Severity::critical), alert("c", Severity::critical)});
  const auto keys = [&] {
    std::string all;
    for (const Message& message : desk.book.due(kCooldown, Moment::of(desk.clock)))
      all += message.alert.key;
    return all;
  };
  EXPECT_EQ(keys(), "bca");
  desk.book.failed(desk.book.due(kCooldown, Moment::of(desk.clock))[0], Moment::of(desk.clock));
  EXPECT_EQ(keys(), "ca");
  desk.clock.advance(minutes{1});
  EXPECT_EQ(keys(), "cab");
}

TEST(BookTest, HoldsItsLimitOfAlertsAndPrefersThoseThatAreRaised) {
  Desk desk;
  std::vector<Alert> many;
  for (size_t i = 0; i < Book::kEntriesMax; ++i)
    many.push_back(alert(std::to_string(i)));
  EXPECT_EQ(desk.minute(many).size(), Book::kEntriesMax);
  many.push_back(alert("one more"));
  EXPECT_EQ(desk.minute(many), Words{"refused one more"});
  // "0" is over, and still remembered for its cooldown.
  desk.tell();
  many.erase(many.begin());
  many.pop_back();
  desk.minute(many);
  desk.minute(many);
  EXPECT_EQ(desk.minute(many), Words{"over 0"});
  many.push_back(alert("one more"));
  EXPECT_EQ(desk.minute(many), Words{"raised one more"});
  EXPECT_EQ(desk.book.entries().size(), Book::kEntriesMax);
  EXPECT_FALSE(desk.book.entries().contains("0"));
}

TEST(BookTest, AnotherProcessTakesUpWhatTheImageHolds) {
  Desk first;
  first.minute({alert("a", Severity::critical)});
  first.tell();
  first.minute({alert("a", Severity::critical), alert("b\n\"")});
  first.book.observe_peak(700, base::unix_ms(first.clock.wall()));
  const std::string image = first.book.image();

  Desk second;
  second.clock.advance(hours{5} + minutes{4});  // A monotonic clock of its own.
  second.clock.set_wall(first.clock.wall() + minutes{4});
  ASSERT_TRUE(second.book.restore(image, Moment::of(second.clock)).ok());
  EXPECT_EQ(second.book.image(), image);
  EXPECT_EQ(second.book.generation(), 0U);
  EXPECT_EQ(second.minute({alert("a", Severity::critical), alert("b\n\"")}), Words{});
  EXPECT_EQ(second.tell(), Words{"raised b\n\""});
  second.clock.advance(minutes{2});
  second.minute({alert("a", Severity::critical), alert("b\n\"")});
  EXPECT_EQ(second.tell(), Words{});
  second.minute({alert("a", Severity::critical), alert("b\n\"")});  // Ten minutes after the first.
  EXPECT_EQ(second.tell(), Words{"reminder a"});
  second.book.observe_peak(900, base::unix_ms(first.clock.wall() + hours{1}));
  EXPECT_EQ(second.book.settled_peak(), 700U);
}

TEST(BookTest, ImagesOfTheFirstVersionStayReadable) {
  Desk desk;
  ASSERT_TRUE(
      desk.book
          .restore(
              R"({"version":1,"alerts":[{"id":"alarm-disk","key":"alarm-disk","severity":"critical",)"
              R"("source":"alarms","title":"Alarm disk","message":"full","value":1.5,)"
              R"("timestamp":1760486400000,"link":"/dashboard","raised":true,)"
              R"("since":1760486400000,"over":null,"worst":"critical","told":true,)"
              R"("owesEnd":false,"toldSeverity":"critical","lastTold":1760486400000,)"
              R"("reminders":3}],"peak":{"settled":700,"next":900,"nextSince":1760486400000}})",
              Moment::of(desk.clock))
          .ok());
  const BookEntry& entry = desk.book.entries().at("alarm-disk");
  EXPECT_EQ(entry.alert.source, Source::alarms);
  EXPECT_EQ(entry.alert.value, 1.5);
  EXPECT_EQ(entry.told_ms, 1'760'486'400'000);
  EXPECT_EQ(entry.reminders, 3U);
  EXPECT_TRUE(entry.told);
  EXPECT_EQ(desk.book.settled_peak(), 700U);
}

TEST(BookTest, AnImageHasTheMembersOfItsPage) {
  const base::testing::FormatPage page{"docs/formats/alerts.md"};
  const auto on_page = [&](const char* section) {
    std::set<std::string> names;
    for (const auto& row : page.rows(section))
      names.insert(row[0]);
    return names;
  };
  const auto members = [](const nlohmann::json& object) {
    std::set<std::string> names;
    for (const auto& [name, value] : object.items())
      names.insert("`" + name + "`");
    return names;
  };
  Desk desk;
  desk.minute({alert("a")});
  const auto image = nlohmann::json::parse(desk.book.image());
  EXPECT_EQ(members(image), on_page("The image"));
  EXPECT_EQ(members(image["alerts"][0]), on_page("An alert"));
  EXPECT_EQ(members(image["peak"]), on_page("The peak"));
}

TEST(BookTest, AStampFromTheFutureCountsAsThisMoment) {
  Desk first;
  first.minute({alert("a")});
  first.tell();
  Desk second;
  second.clock.set_wall(first.clock.wall() - hours{1000});
  ASSERT_TRUE(second.book.restore(first.book.image(), Moment::of(second.clock)).ok());
  second.clock.advance(kCooldown - minutes{1} - milliseconds{1});
  second.minute({alert("a")});
  EXPECT_EQ(second.tell(), Words{});
  second.clock.advance(milliseconds{1});
  EXPECT_EQ(second.tell(), Words{"reminder a"});
}

TEST(BookTest, WhatWasToldBeforeCountsForAnAlertThatIsKnownAlready) {
  Desk first;
  first.minute({alert("a")});
  first.tell();
  Desk second;
  second.clock.set_wall(first.clock.wall());
  second.minute({alert("a")});
  ASSERT_TRUE(second.book.restore(first.book.image(), Moment::of(second.clock)).ok());
  EXPECT_EQ(second.tell(), Words{});
  EXPECT_TRUE(second.book.entries().at("a").told);
}

TEST(BookTest, RefusesWhatIsNoImageAndStaysAsItIs) {
  Desk desk;
  desk.minute({alert("a")});
  desk.tell();
  const std::string image = desk.book.image();
  const auto refused = [&](const std::string& text) {
    const bool ok = desk.book.restore(text, Moment::of(desk.clock)).ok();
    EXPECT_EQ(desk.book.image(), image);
    return !ok;
  };
  const auto changed = [&](const std::string& from, const std::string& to) {
    std::string text = image;
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    return text.replace(at, from.size(), to);
  };
  for (const std::string text :
       {"", "{}", "[]", "null", R"({"version":1})", R"({"version":1,"alerts":{},"peak":{}})"}) {
    EXPECT_TRUE(refused(text)) << text;
  }
  EXPECT_TRUE(refused(image.substr(1)));
  EXPECT_TRUE(refused(changed("\"version\":1", "\"version\":2")));
  EXPECT_TRUE(refused(changed("\"warning\"", "\"grave\"")));
  EXPECT_TRUE(refused(changed("\"since\":1", "\"since\":-99999999999999999")));
  EXPECT_TRUE(refused(changed("\"since\":1", "\"since\":1.5e3")));
  EXPECT_TRUE(refused(changed("\"raised\":true", "\"raised\":false")));
  EXPECT_TRUE(refused(changed("\"key\":\"a\"", "\"key\":\"\"")));
  EXPECT_TRUE(refused(changed("\"reminders\":0", "\"reminders\":-1")));
  EXPECT_FALSE(refused(image));
}

}  // namespace
}  // namespace weir::alerts
