#include "journal/segment.h"

#include <array>
#include <cstring>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "os/testing/fake_files.h"

namespace weir::journal {
namespace {

constexpr uint32_t kSalt = 0x5a17;

std::string sealed(uint64_t sequence, size_t payload_bytes) {
  alignas(8) std::array<char, traffic::kRecordBytesMax> record{};
  std::memset(record.data() + traffic::kRecordHeaderBytes, 'x', payload_bytes);
  const traffic::RecordPlace place{1, 0, traffic::RecordKind::event, sequence};
  const uint64_t word = traffic::seal_record(record.data(), place, payload_bytes, kSalt);
  traffic::commit_record(record.data(), word);
  return {record.data(), traffic::record_bytes(payload_bytes)};
}

// Goal: whatever lies between records, each is found where it is. Method: files of several windows
// with records at random places, and zeros, words with one bit or noise between them.
TEST(RecordFileTest, FindsEveryRecordWhateverLiesBetween) {
  base::Random random{29};
  for (int round = 0; round < 12; ++round) {
    std::string bytes;
    std::vector<uint64_t> places;
    while (bytes.size() < 3 * RecordFile::kWindowBytes) {
      const uint64_t gap_words = random.below(round % 3 == 0 ? 40'000 : 200);
      const uint64_t gap_kind = random.below(4);
      for (uint64_t i = 0; i < gap_words; ++i) {
        const uint64_t noise = gap_kind == 0 ? random.next() : 0;
        const uint64_t bit = gap_kind == 1 ? uint64_t{1} << random.below(64) : 0;
        bytes.append(reinterpret_cast<const char*>(gap_kind == 1 ? &bit : &noise), sizeof noise);
      }
      places.push_back(bytes.size());
      bytes += sealed(places.size(), 1 + random.below(600));
    }
    bytes.append(8 * random.below(50'000), '\0');
    os::testing::FakeFiles files;
    ASSERT_TRUE(files.create_directory("d").ok());
    const auto file = files.open("d/f", os::OpenMode::create_new);
    ASSERT_TRUE(file.ok() && file.value()->write_at(0, bytes).ok());
    // The end may lie behind that of the file.
    const uint64_t end = bytes.size() + (round % 2 == 0 ? 0 : 100'000);
    RecordFile records{*file.value(), kSalt};
    uint64_t offset = 0;
    for (size_t nth = 0; nth < places.size(); ++nth) {
      const auto found = records.next(offset, end);
      ASSERT_TRUE(found.ok() && found.value().has_value()) << "round " << round << ", " << nth;
      ASSERT_EQ(found.value()->offset, places[nth]) << "round " << round;
      ASSERT_EQ(found.value()->record.place.sequence, nth + 1);
      offset = found.value()->end();
    }
    const auto none = records.next(offset, end);
    ASSERT_TRUE(none.ok());
    EXPECT_FALSE(none.value().has_value());
  }
}

}  // namespace
}  // namespace weir::journal
