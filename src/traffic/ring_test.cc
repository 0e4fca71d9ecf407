#include "traffic/ring.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <vector>

#include <gtest/gtest.h>

#include "base/random.h"
#include "os/testing/fake_files.h"

namespace weir::traffic {
namespace {

constexpr uint32_t kSalt = 0x5eed1234U;
const RingIdentity kIdentity{7, 3, kSalt, "boot-1"};

struct Taken {
  uint64_t sequence;
  std::string payload;
  bool operator==(const Taken&) const = default;
};

class RingTest : public ::testing::Test {
 protected:
  explicit RingTest(size_t data_bytes = Ring::kDataBytesMin) {
    EXPECT_TRUE(files_.create_directory("d").ok());
    ring_ = Ring::create(files_, "d/ring", kIdentity, data_bytes).value();
    writer_.emplace(*ring_);
    reader_.emplace(*ring_);
  }

  bool put(std::string_view payload) {
    char* const at = writer_->begin();
    if (at == nullptr) return false;
    std::memcpy(at, payload.data(), payload.size());
    return writer_->commit(payload.size());
  }

  // Everything the reader gives, record by record.
  std::vector<Taken> take(size_t bytes_max = 1 << 20) {
    std::vector<Taken> taken;
    while (const auto chunk = reader_->next(bytes_max)) {
      RecordScanner scanner{chunk->bytes, kSalt};
      uint64_t records = 0;
      while (const auto record = scanner.next()) {
        if (records++ == 0) {
          EXPECT_EQ(record->place.sequence, chunk->first_sequence);
        }
        taken.push_back({record->place.sequence, std::string{record->payload}});
      }
      EXPECT_EQ(records, chunk->records);
      EXPECT_EQ(scanner.skipped_bytes(), 0U);
      EXPECT_EQ(taken.back().sequence, chunk->last_sequence);
    }
    return taken;
  }

  // What a start after a kill finds in the file, above `highest`.
  std::vector<Taken> recover(uint64_t highest) {
    std::vector<Taken> found;
    const std::span<char> bytes = files_.bytes("d/ring");
    RecordScanner scanner{{bytes.data() + Ring::kHeaderBytes, bytes.size() - Ring::kHeaderBytes},
                          kSalt};
    while (const auto record = scanner.next()) {
      if (record->place.sequence > highest) {
        found.push_back({record->place.sequence, std::string{record->payload}});
      }
    }
    std::sort(found.begin(), found.end(),
              [](const Taken& a, const Taken& b) { return a.sequence < b.sequence; });
    return found;
  }

  std::span<char> data() { return files_.bytes("d/ring").subspan(Ring::kHeaderBytes); }

  os::testing::FakeFiles files_;
  std::unique_ptr<Ring> ring_;
  std::optional<RingWriter> writer_;
  std::optional<RingReader> reader_;
};

TEST_F(RingTest, GivesRecordsInOrderWithDenseSequences) {
  EXPECT_TRUE(put("one") && put("") && put("three"));
  EXPECT_EQ(take(), (std::vector<Taken>{{1, "one"}, {2, ""}, {3, "three"}}));
  EXPECT_TRUE(take().empty());
  EXPECT_TRUE(put("four"));
  EXPECT_EQ(take(), (std::vector<Taken>{{4, "four"}}));
}

TEST_F(RingTest, GivesAgainWhatWasNotReleased) {
  EXPECT_TRUE(put("one"));
  EXPECT_EQ(take().size(), 1U);
  reader_->release();
  EXPECT_TRUE(put("two") && put("three"));
  EXPECT_EQ(take().size(), 2U);
  reader_->rewind();
  EXPECT_EQ(take(), (std::vector<Taken>{{2, "two"}, {3, "three"}}));
}

TEST_F(RingTest, IsFullUntilSpaceIsReleased) {
  const std::string payload(1000, 'p');
  uint64_t count = 0;
  while (put(payload))
    ++count;
  EXPECT_GE(count, (Ring::kDataBytesMin - kRecordBytesMax) / record_bytes(1000));
  EXPECT_EQ(writer_->sequence(), count);
  EXPECT_FALSE(put("")) << "space for the largest record is asked for, whatever the size";
  EXPECT_EQ(take().size(), count);
  EXPECT_FALSE(put("")) << "copied is not synced";
  reader_->release();
  EXPECT_TRUE(put(payload));
  EXPECT_EQ(take(), (std::vector<Taken>{{count + 1, payload}}));
}

TEST_F(RingTest, TakesTheLargestPayload) {
  const std::string payload(kRecordPayloadBytesMax, 'm');
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(put(payload));
    ASSERT_EQ(take(kRecordBytesMax).size(), 1U);
    reader_->release();
  }
}

// Goal: the end of a lap may fall anywhere. Method: laps of records of every size, so that they end
// at every offset; everything comes out once, and a kill at any moment finds what is not released.
TEST_F(RingTest, WrapsAtEveryAlignment) {
  uint64_t expected = 1;
  for (size_t size = 0; size < 600; ++size) {
    SCOPED_TRACE(size);
    const uint64_t first = expected;
    for (int i = 0; i < 60; ++i) {
      const std::string payload(size + static_cast<size_t>(i) % 9, static_cast<char>('a' + i % 26));
      ASSERT_TRUE(put(payload));
    }
    if (size % 7 == 0) {
      const std::vector<Taken> recovered = recover(first - 1);
      ASSERT_EQ(recovered.size(), 60U);
      ASSERT_EQ(recovered.front().sequence, first);
    }
    for (const Taken& taken : take(8192))
      ASSERT_EQ(taken.sequence, expected++);
    ASSERT_EQ(expected, first + 60);
    reader_->release();
  }
  EXPECT_EQ(reader_->corrupt_bytes(), 0U);
}

// Goal: before the commit word a record does not exist, whatever stood there in an earlier lap.
TEST_F(RingTest, ARecordWithoutItsCommitWordIsNotFound) {
  for (int lap = 0; lap < 200; ++lap) {
    ASSERT_TRUE(put(std::string(500, 'x')));
    take();
    reader_->release();
    char* const payload = writer_->begin();
    ASSERT_NE(payload, nullptr);
    std::memset(payload, 'y', 500);
    ASSERT_TRUE(recover(writer_->sequence()).empty());
  }
}

TEST_F(RingTest, AFlippedBitCostsItsRecordAndNoOther) {
  base::Random random{5};
  for (int round = 0; round < 300; ++round) {
    const uint64_t first = writer_->sequence() + 1;
    std::map<uint64_t, size_t> offsets;  // By sequence.
    for (int i = 0; i < 5; ++i)
      ASSERT_TRUE(put("payload " + std::to_string(random.next())));
    for (size_t at = 0; at + 8 <= data().size(); at += 8) {
      const auto record = parse_record({data().data() + at, data().size() - at}, kSalt);
      if (record.has_value() && record->place.sequence >= first) {
        offsets[record->place.sequence] = at;
      }
    }
    ASSERT_EQ(offsets.size(), 5U);
    const size_t victim = random.below(5);
    const size_t at = offsets[first + victim] + random.below(kRecordHeaderBytes + 8);
    data()[at] = static_cast<char>(data()[at] ^ (1 << random.below(8)));
    const std::vector<Taken> taken = take();
    ASSERT_EQ(taken.size(), 4U);
    for (const Taken& one : taken)
      EXPECT_NE(one.sequence, first + victim);
    reader_->release();
  }
  EXPECT_GT(reader_->corrupt_bytes(), 300U * kRecordHeaderBytes);
}

TEST_F(RingTest, CountsDamageOnceHoweverOftenItIsRead) {
  EXPECT_TRUE(put("one") && put("two"));
  data()[9] = static_cast<char>(data()[9] ^ 1);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(take(), (std::vector<Taken>{{2, "two"}}));
    EXPECT_EQ(reader_->corrupt_bytes(), record_bytes(3));
    reader_->rewind();
  }
}

TEST_F(RingTest, AnotherRingsRecordsAreNotTaken) {
  EXPECT_TRUE(put("mine"));
  alignas(8) std::array<char, 64> foreign{};
  for (const RecordPlace place :
       {RecordPlace{8, 3, RecordKind::event, 2}, RecordPlace{7, 4, RecordKind::event, 2},
        RecordPlace{7, 3, RecordKind::note, 2}, RecordPlace{7, 3, RecordKind::event, 0}}) {
    EXPECT_TRUE(put("same"));
    commit_record(foreign.data(), seal_record(foreign.data(), place, 4, kSalt));
    const uint64_t used = record_bytes(4) * (writer_->sequence() - 1);
    std::memcpy(data().data() + used, foreign.data(), record_bytes(4));
  }
  EXPECT_EQ(take(), (std::vector<Taken>{{1, "mine"}}));
}

TEST_F(RingTest, TheHeaderTellsTheNextStart) {
  for (int i = 0; i < 5; ++i)
    writer_->answered();
  reader_->mark_synced({1, 100, 10});
  reader_->mark_synced({2, 200, 20});
  reader_->mark_synced({3, 300, 30});
  EXPECT_EQ(ring_->answered(), 5U);
  const auto file = files_.open("d/ring", os::OpenMode::read).value();
  const OldRing old = read_old_ring(*file).value();
  EXPECT_EQ(old.identity.epoch, 7U);
  EXPECT_EQ(old.identity.loop, 3U);
  EXPECT_EQ(old.identity.salt, kSalt);
  EXPECT_EQ(old.identity.boot_id, "boot-1");
  EXPECT_EQ(old.data_bytes, Ring::kDataBytesMin);
  EXPECT_EQ(old.answered, 5U);
  EXPECT_EQ(old.mark.segment, 3U);
  EXPECT_EQ(old.mark.bytes, 300U);
  EXPECT_EQ(old.mark.sequence, 30U);
}

// Goal: one flipped bit anywhere in the header costs at most the newest mark.
TEST_F(RingTest, TheHeaderSurvivesAnyFlippedBit) {
  reader_->mark_synced({1, 100, 10});
  reader_->mark_synced({2, 200, 20});
  const std::span<char> header = files_.bytes("d/ring").first(Ring::kHeaderBytes);
  const auto file = files_.open("d/ring", os::OpenMode::read).value();
  for (size_t bit = 0; bit < header.size() * 8; ++bit) {
    const char mask = static_cast<char>(1 << (bit % 8));
    header[bit / 8] = static_cast<char>(header[bit / 8] ^ mask);
    const auto old = read_old_ring(*file);
    ASSERT_TRUE(old.ok());
    EXPECT_EQ(old.value().identity.salt, kSalt);
    EXPECT_TRUE(old.value().mark.sequence == 20 || old.value().mark.sequence == 10);
    header[bit / 8] = static_cast<char>(header[bit / 8] ^ mask);
  }
  std::memset(header.data(), 0, header.size());
  EXPECT_EQ(read_old_ring(*file).error().code, base::ErrorCode::corrupt);
}

TEST_F(RingTest, NeverTakesAnExistingFile) {
  EXPECT_TRUE(put("precious"));
  EXPECT_EQ(Ring::create(files_, "d/ring", kIdentity, Ring::kDataBytesMin).error().code,
            base::ErrorCode::conflict);
  EXPECT_EQ(recover(0).size(), 1U);
}

TEST_F(RingTest, PrefaultsAcrossTheEndOfTheLap) {
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(reader_->prefault(Ring::kDataBytesMin / 2).ok());
    EXPECT_TRUE(reader_->prefault(2 * Ring::kDataBytesMin).ok());
    ASSERT_TRUE(put(std::string(3000, 'x')));
    take();
    reader_->release();
  }
}

// Goal: a ring whose storage goes away stops taking records and kills nobody. Method: truncate the
// real file under the mapping, in the header, in the data, and while a record is being written.
TEST(RingSigbusTest, ATruncatedRingRefusesRecords) {
  os::install_sigbus_handler();
  std::string directory = (std::filesystem::temp_directory_path() / "weir-ring-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  os::RealFiles files;
  for (const uint64_t keep : {uint64_t{0}, uint64_t{4096}, uint64_t{8192}}) {
    const std::string path = directory + "/ring-" + std::to_string(keep);
    const auto ring = Ring::create(files, path, kIdentity, Ring::kDataBytesMin).value();
    RingWriter writer{*ring};
    RingReader reader{*ring};
    char* payload = writer.begin();
    std::memset(payload, 'x', 3000);
    ASSERT_TRUE(writer.commit(3000));
    payload = writer.begin();
    ASSERT_NE(payload, nullptr);
    ASSERT_TRUE(files.open(path, os::OpenMode::read_write).value()->truncate(keep).ok());
    std::memset(payload, 'y', 3000);
    EXPECT_FALSE(writer.commit(3000));
    EXPECT_EQ(writer.begin(), nullptr);
    EXPECT_TRUE(ring->failed());
    writer.answered();
    // The first record's page may be gone too; what is there is read, what is not is skipped.
    const auto chunk = reader.next(1 << 20);
    EXPECT_EQ(chunk.has_value(), keep == 8192);
    reader.mark_synced({1, 1, 1});
    reader.release();
    static_cast<void>(reader.prefault(8192).ok());
  }
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace weir::traffic
