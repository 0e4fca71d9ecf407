// docs/formats/{event,ring,path_collector}.md, compared with the bytes that are written. Run in the
// root folder of the sources.
#include <cstring>
#include <map>

#include <gtest/gtest.h>

#include "base/testing/format_page.h"
#include "codec/crc32c.h"
#include "codec/varint.h"
#include "os/testing/fake_files.h"
#include "traffic/event.h"
#include "traffic/path_collector.h"
#include "traffic/ring.h"

namespace weir::traffic {
namespace {

using base::testing::FormatField;
using base::testing::FormatPage;
using os::testing::FakeFiles;

Event sample_event() {
  Event event;
  event.id.unix_ms = 1'760'000'000'120;
  event.id.tail = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  event.arrival_us = 1'760'000'000'123'456;
  event.path = "/kv/a";
  event.method = "BREW";
  event.user_agent = "curl/8";
  event.route_id = "kv";
  event.country = "CN";
  event.city = "Kunming";
  event.colo = "KMG";
  event.client_ip = "192.0.2.7";
  event.client_hash = 0x1122334455667788U;
  event.duration_us = 300;
  event.upstream_us = 200;
  event.bytes_in = 100'000;
  event.bytes_out = 5;
  event.status = 503;
  event.flags = EventFlag::kUnrouted | EventFlag::kSampledOut;
  event.outcome = Outcome::upstream_abort;
  event.cache = CacheStatus::bypass;
  event.geo = GeoAction::throttled;
  event.attempts = 3;
  return event;
}

// What stands in the bytes of an event if its page is right: by name, numbers as decimal text.
std::map<std::string, std::string> read_by_page(std::string_view payload) {
  std::map<std::string, std::string> values;
  const FormatPage page{"docs/formats/event.md"};
  const size_t whole = payload.size();
  for (const FormatPage::Row& row : page.rows("The event, version 1")) {
    if (!row[0].empty()) {
      EXPECT_EQ(row[0], std::to_string(whole - payload.size())) << row[2];
    }
    const FormatField fixed = page.field("The event, version 1", row[2]);
    uint64_t number = 0;
    if (fixed.bytes == 10) {
      values[row[2]] = payload.substr(0, 10);
      payload.remove_prefix(10);
    } else if (fixed.bytes > 0) {
      values[row[2]] =
          std::to_string(FormatField{row[2], 0, fixed.bytes}.number(payload.substr(0, 8)));
      payload.remove_prefix(fixed.bytes);
    } else if (row[3].starts_with("varint")) {
      EXPECT_TRUE(codec::read_varint(payload, number)) << row[2];
      const bool zigzag = row[3].starts_with("varint, zigzag");
      values[row[2]] = zigzag ? std::to_string(codec::unzigzag(number)) : std::to_string(number);
    } else {
      EXPECT_TRUE(row[3].starts_with("text")) << row[2];
      // The code says whether the name follows; the sample's does.
      EXPECT_TRUE(codec::read_varint(payload, number)) << row[2];
      values[row[2]] = payload.substr(0, number);
      payload.remove_prefix(std::min<size_t>(number, payload.size()));
    }
  }
  EXPECT_TRUE(payload.empty()) << "the page has fields too few";
  return values;
}

TEST(FormatsTest, TheEventIsAsItsPageSays) {
  std::array<char, kEventBytesMax> bytes;
  const Event event = sample_event();
  const std::map<std::string, std::string> expected = {
      {"version", "1"},
      {"status", "503"},
      {"flags", "40"},
      {"outcome, cache, geo", std::to_string(2 + 4 * 8 + 3 * 64)},
      {"attempts", "3"},
      {"arrival", "1760000000123456"},
      {"client hash", std::to_string(event.client_hash)},
      {"id's tail", "\1\2\3\4\5\6\7\10\11\12"},
      {"id's time", "-3"},
      {"duration", "300"},
      {"upstream time", "200"},
      {"bytes in", "100000"},
      {"bytes out", "5"},
      {"method", "0"},
      {"method's name", "BREW"},
      {"path", "/kv/a"},
      {"user agent", "curl/8"},
      {"route id", "kv"},
      {"country", "CN"},
      {"city", "Kunming"},
      {"colo", "KMG"},
      {"client address", "192.0.2.7"},
  };
  EXPECT_EQ(read_by_page({bytes.data(), encode(event, bytes)}), expected);
}

TEST(FormatsTest, TheMethodsHaveTheCodesOfThePage) {
  std::array<char, kEventBytesMax> bytes;
  const FormatPage page{"docs/formats/event.md"};
  // Behind the code stand eight empty texts, or seven: no method's name.
  const size_t at = encode(Event{}, bytes) - 9;
  size_t code = 0;
  for (const FormatPage::Row& row : page.rows("Methods")) {
    Event event;
    event.method = code == 0 ? "BREW" : std::string_view{row[1]};
    encode(event, bytes);
    EXPECT_EQ(row[0], std::to_string(code));
    EXPECT_EQ(bytes[at], static_cast<char>(code)) << row[1];
    ++code;
  }
  EXPECT_EQ(code, 10U);
}

TEST(FormatsTest, TheFlagsHaveTheBitsOfThePage) {
  const std::vector<uint16_t> flags = {EventFlag::kPathTruncated,  EventFlag::kUserAgentTruncated,
                                       EventFlag::kMalformed,      EventFlag::kUnrouted,
                                       EventFlag::kTotalsOnly,     EventFlag::kSampledOut,
                                       EventFlag::kShortTruncated, EventFlag::kWouldBeDenied};
  const FormatPage page{"docs/formats/event.md"};
  ASSERT_EQ(page.rows("Flags").size(), flags.size());
  for (size_t i = 0; i < flags.size(); ++i)
    EXPECT_EQ(page.rows("Flags")[i][0], std::to_string(flags[i]));
}

// The magic, the numbers and the checksum of a header at each place where the page has one.
void check_header(const FormatPage& page, const std::string& title, std::string_view file,
                  std::string_view magic, const std::map<std::string, uint64_t>& numbers) {
  const std::vector<size_t> places = page.offsets(title, "header");
  EXPECT_EQ(places.size(), 2U);
  const FormatField crc = page.field("Header", "crc");
  for (const size_t at : places) {
    EXPECT_EQ(page.field("Header", "magic").text(file, at), magic);
    for (const auto& [name, value] : numbers) {
      EXPECT_EQ(page.field("Header", name).number(file, at), value) << name;
    }
    EXPECT_TRUE(page.field("Header", "boot id").text(file, at).starts_with("boot-1"));
    EXPECT_EQ(crc.number(file, at), codec::crc32c(file.substr(at, crc.offset)));
  }
}

TEST(FormatsTest, TheRingIsAsItsPageSays) {
  constexpr uint32_t kSalt = 0x5eed1234U;
  const FormatPage page{"docs/formats/ring.md"};
  const std::string title = "The ring, version 1";
  FakeFiles files;
  ASSERT_TRUE(files.create_directory("d").ok());
  const auto ring =
      Ring::create(files, "d/ring", {7, 3, kSalt, "boot-1"}, Ring::kDataBytesMin).value();
  RingWriter writer{*ring};
  RingReader reader{*ring};
  std::memcpy(writer.begin(), "hello", 5);
  ASSERT_TRUE(writer.commit(5));
  std::memcpy(writer.begin(), "you", 3);
  ASSERT_TRUE(writer.commit(3));
  writer.answered();
  reader.mark_synced({.segment = 4, .bytes = 5000, .sequence = 1});
  reader.mark_synced({.segment = 5, .bytes = 6000, .sequence = 2});
  const std::span<char> bytes = files.bytes("d/ring");
  const std::string_view file{bytes.data(), bytes.size()};

  check_header(page, title, file, "WEIRRING",
               {{"version", 1},
                {"epoch", 7},
                {"loop", 3},
                {"salt", kSalt},
                {"data bytes", Ring::kDataBytesMin}});
  EXPECT_EQ((FormatField{"answered", page.offsets(title, "*answered*").at(0), 8}.number(file)), 1U);

  const FormatField mark_crc = page.field("Sync mark", "crc");
  const std::vector<size_t> marks = {page.offsets(title, "sync mark, odd").at(0),
                                     page.offsets(title, "sync mark, even").at(0)};
  for (const uint64_t count : {1U, 2U}) {
    const size_t at = marks[count - 1];
    EXPECT_EQ(page.field("Sync mark", "count").number(file, at), count);
    EXPECT_EQ(page.field("Sync mark", "segment").number(file, at), 3 + count);
    EXPECT_EQ(page.field("Sync mark", "bytes").number(file, at), 4000 + 1000 * count);
    EXPECT_EQ(page.field("Sync mark", "sequence").number(file, at), count);
    EXPECT_EQ(mark_crc.number(file, at), codec::crc32c(file.substr(at, mark_crc.offset), kSalt));
  }

  const size_t first = page.offsets(title, "records").at(0);
  const size_t payload = page.field("Record", "payload").offset;
  const auto number = [&](const char* name, size_t at) {
    return page.field("Record", name).number(file, at);
  };
  EXPECT_EQ(file.substr(first + payload, 5), "hello");
  const size_t second = first + (payload + 5 + 7) / 8 * 8;  // Padded to a multiple of 8.
  EXPECT_EQ(file.substr(second + payload, 3), "you");
  EXPECT_EQ(number("payload bytes", second), 3U);
  EXPECT_EQ(number("epoch", second), 7U);
  EXPECT_EQ(number("loop", second), 3U);
  EXPECT_EQ(number("kind", second), 0U);
  EXPECT_EQ(number("sequence", second), 2U);
  EXPECT_EQ(number("crc", second), codec::crc32c(file.substr(second + 4, payload - 4 + 3), kSalt));
  EXPECT_EQ(kRecordBytesMax, 4120U) << "the page says where a pad begins";
}

TEST(FormatsTest, ThePathCollectorIsAsItsPageSays) {
  const FormatPage page{"docs/formats/path_collector.md"};
  const std::string title = "The path collector, version 1";
  const CollectorSize size{.slots = 64, .text_bytes = 1024};
  FakeFiles files;
  ASSERT_TRUE(files.create_directory("d").ok());
  const auto collector =
      PathCollector::create(files, "d/paths", {7, 3, 0x5ec4e7U, "boot-1"}, size).value();
  Event event = sample_event();
  event.flags = EventFlag::kUnrouted;
  collector->count(event, "/kv/a", PathCollector::Why::totals_only);
  collector->mark_synced();
  const std::span<char> bytes = files.bytes("d/paths");
  const std::string_view file{bytes.data(), bytes.size()};

  check_header(page, title, file, "WEIRPATH",
               {{"version", 1}, {"epoch", 7}, {"loop", 3}, {"slots", 64}, {"text bytes", 1024}});
  EXPECT_EQ((FormatField{"synced", page.offsets(title, "0; or").at(0), 8}.number(file)),
            0x5745495253594e43U);
  const size_t side = page.offsets(title, "side 0").at(0);
  const size_t side_bytes = (64 + (16 + 64) * 64 + 1024 + 4095) / 4096 * 4096;  // The page's sum.
  EXPECT_EQ(file.size(), side + 2 * side_bytes);

  EXPECT_EQ(page.field("Side", "generation").number(file, side), 1U);
  EXPECT_EQ(page.field("Side", "requests").number(file, side), 1U);
  EXPECT_EQ(page.field("Side", "slots used").number(file, side), 1U);
  EXPECT_EQ(page.field("Side", "slots used, unrouted").number(file, side), 1U);
  EXPECT_EQ(page.field("Side", "text used").number(file, side), 5U);
  EXPECT_EQ(page.field("Side", "text used, unrouted").number(file, side), 5U);

  const size_t slots = side + page.field("Side", "slots").offset;
  const FormatField used = page.field("Slot", "used");
  size_t slot = slots;
  while (slot < slots + 64 * 64 && used.number(file, slot) == 0)
    slot += 64;
  const auto number = [&](const char* name) { return page.field("Slot", name).number(file, slot); };
  EXPECT_EQ(number("used"), 1U);
  EXPECT_EQ(number("hour"), 1'760'000'000U / 3600);
  EXPECT_EQ(number("text bytes"), 5U);
  EXPECT_EQ(number("reason"), 1U);
  EXPECT_EQ(number("requests"), 1U);
  EXPECT_EQ(number("errors"), 1U);
  EXPECT_EQ(number("duration"), 300U);
  EXPECT_EQ(number("bytes in"), 100'000U);
  EXPECT_EQ(number("bytes out"), 5U);
  EXPECT_EQ(file.substr(slots + 64 * 64 + number("text offset"), 5), "/kv/a");
}

}  // namespace
}  // namespace weir::traffic
