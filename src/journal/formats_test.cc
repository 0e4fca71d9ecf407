// docs/formats/segment.md, compared with the bytes that are written. Run in the root folder of the
// sources.
#include <gtest/gtest.h>

#include "base/testing/format_page.h"
#include "codec/crc32c.h"
#include "journal/epoch.h"
#include "journal/segment.h"
#include "os/testing/fake_files.h"

namespace weir::journal {
namespace {

using base::testing::FormatField;
using base::testing::FormatPage;

constexpr uint32_t kSalt = 0x5eed1234U;
const char* const kPage = "docs/formats/segment.md";
const char* const kTitle = "The journal's files, version 1";

TEST(FormatsTest, TheNamesAreAsThePageSays) {
  EXPECT_EQ(segment_name({0x1a, 0x2b}), "segment-0000001a-0000002b");
  EXPECT_EQ(loop_file_name("ring", {0x1a, 0x2b}), "ring-0000001a-002b");
  EXPECT_EQ(parse_segment_name("segment-0000001A-0000002B"), std::nullopt);
}

TEST(FormatsTest, TheSegmentHeaderIsAsItsPageSays) {
  const FormatPage page{kPage};
  const std::string header = encode_segment_header({7, 3}, kSalt);
  const std::vector<size_t> places = page.offsets(kTitle, "header");
  EXPECT_EQ(places.size(), 2U);
  const FormatField crc = page.field("Header", "crc");
  for (const size_t at : places) {
    EXPECT_EQ(page.field("Header", "magic").text(header, at), "WEIRSEGM");
    EXPECT_EQ(page.field("Header", "version").number(header, at), 1U);
    EXPECT_EQ(page.field("Header", "epoch").number(header, at), 7U);
    EXPECT_EQ(page.field("Header", "index").number(header, at), 3U);
    EXPECT_EQ(page.field("Header", "salt").number(header, at), kSalt);
    EXPECT_EQ(crc.number(header, at),
              codec::crc32c(std::string_view{header}.substr(at, crc.offset)));
  }
  EXPECT_EQ(page.offsets(kTitle, "[records]"), std::vector{header.size()});
}

TEST(FormatsTest, TheNotesAreAsTheirPageSays) {
  const FormatPage page{kPage};
  SegmentNote note{.index = 4, .readable_bytes = 5000};
  note.streams[{6, 0}] = {11, 12};
  note.streams[{7, 1}] = {1, 9};
  const std::string bytes = encode_note(note, 7, kSalt, 1);
  const auto record = traffic::parse_record(bytes, kSalt);
  ASSERT_TRUE(record.has_value());
  EXPECT_EQ(record->place.loop, 0U);
  EXPECT_EQ(record->place.kind, traffic::RecordKind{1});
  EXPECT_EQ(record->place.sequence, 1U);
  const auto number = [&](const char* name, size_t at) {
    return page.field("Notes", name).number(record->payload, at);
  };
  EXPECT_EQ(number("index", 0), 4U);
  EXPECT_EQ(number("streams", 0), 2U);
  EXPECT_EQ(number("readable bytes", 0), 5000U);
  const size_t second = page.field("Notes", "entries").offset + 24;
  EXPECT_EQ(number("epoch", second), 7U);
  EXPECT_EQ(number("loop", second), 1U);
  EXPECT_EQ(number("first", second), 1U);
  EXPECT_EQ(number("last", second), 9U);
  EXPECT_EQ(record->payload.size(), second + 24);
}

TEST(FormatsTest, ANoteHoldsAsManyStreamsAsThePageSays) {
  SegmentNote note{.index = 1};
  for (uint32_t loop = 0; loop < 170; ++loop)
    note.streams[{1, loop}] = {1, 1};
  const auto records = [&note] {
    const std::string bytes = encode_note(note, 1, kSalt, 1);
    traffic::RecordScanner scanner{bytes, kSalt};
    size_t count = 0;
    while (scanner.next().has_value())
      ++count;
    return count;
  };
  EXPECT_EQ(records(), 1U);
  note.streams[{1, 170}] = {1, 1};
  EXPECT_EQ(records(), 2U);
}

TEST(FormatsTest, TheEpochFilesAreAsTheirPageSays) {
  const FormatPage page{kPage};
  os::testing::FakeFiles files;
  ASSERT_TRUE(files.create_directory("d").ok());
  ASSERT_EQ(open_epoch(files, "d", 6).value(), 7U);
  ASSERT_EQ(open_epoch(files, "d", 0).value(), 8U);
  for (const uint32_t epoch : {7U, 8U}) {
    const std::span<char> bytes = files.bytes(epoch == 7 ? "d/epoch-1" : "d/epoch-0");
    const std::string_view file{bytes.data(), bytes.size()};
    const FormatField crc = page.field("Epoch files", "crc");
    EXPECT_EQ(page.field("Epoch files", "magic").text(file), "WEIREPOC");
    EXPECT_EQ(page.field("Epoch files", "epoch").number(file), epoch);
    EXPECT_EQ(crc.number(file), codec::crc32c(file.substr(0, crc.offset)));
    EXPECT_EQ(file.size(), crc.offset + crc.bytes);
  }
}

}  // namespace
}  // namespace weir::journal
