#include "codec/gzip.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <zlib.h>

#include "base/random.h"

namespace weir::codec {
namespace {

using base::ErrorCode;
using base::Status;

struct Stream {
  std::string bytes;
  std::vector<GzipMember> members;

  bool operator==(const Stream&) const = default;
};

struct Outcome {
  std::string raw;  // Empty after an error: nothing is promised then.
  std::optional<ErrorCode> error;

  bool operator==(const Outcome&) const = default;
};

// The rows written in pieces of `piece_bytes`; 0: row by row.
Stream compress(const std::vector<std::string>& rows, GzipOptions options, size_t piece_bytes = 0) {
  Stream stream;
  GzipWriter writer{options, [&](std::string_view bytes, const GzipMember& member) {
                      stream.bytes += bytes;
                      stream.members.push_back(member);
                      return Status{};
                    }};
  for (const std::string& row : rows) {
    const size_t step = piece_bytes == 0 ? std::max<size_t>(row.size(), 1) : piece_bytes;
    for (size_t at = 0; at < row.size(); at += step)
      EXPECT_TRUE(writer.append(std::string_view{row}.substr(at, step)).ok());
    writer.end_row();
  }
  EXPECT_TRUE(writer.finish().ok());
  EXPECT_EQ(writer.compressed_bytes(), stream.bytes.size());
  return stream;
}

Outcome decompress(std::string_view bytes, uint64_t raw_bytes_max = UINT64_MAX,
                   size_t piece_bytes = SIZE_MAX) {
  std::string raw;
  GzipReader reader{raw_bytes_max, [&raw](std::string_view piece) {
                      raw += piece;
                      return Status{};
                    }};
  for (size_t at = 0; at < bytes.size(); at += std::min(piece_bytes, bytes.size() - at)) {
    const Status taken = reader.append(bytes.substr(at, piece_bytes));
    if (taken.ok()) continue;
    EXPECT_EQ(reader.finish().error().code, taken.error().code) << "an error is final";
    return {{}, taken.error().code};
  }
  const Status finished = reader.finish();
  if (!finished.ok()) return {{}, finished.error().code};
  EXPECT_EQ(reader.raw_bytes(), raw.size());
  return {raw, {}};
}

// What zlib's own reading of gzip makes of it: the other implementation.
std::string gunzip_by_zlib(std::string bytes) {
  std::string raw;
  while (!bytes.empty()) {
    z_stream stream{};
    EXPECT_EQ(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(bytes.data());
    stream.avail_in = static_cast<uInt>(bytes.size());
    int outcome = Z_OK;
    while (outcome == Z_OK) {
      char out[4096];
      stream.next_out = reinterpret_cast<Bytef*>(out);
      stream.avail_out = sizeof out;
      outcome = inflate(&stream, Z_NO_FLUSH);
      raw.append(out, sizeof out - stream.avail_out);
    }
    EXPECT_EQ(outcome, Z_STREAM_END);
    bytes.erase(0, bytes.size() - stream.avail_in);
    inflateEnd(&stream);
    if (outcome != Z_STREAM_END) break;
  }
  return raw;
}

std::string joined(const std::vector<std::string>& rows) {
  std::string all;
  for (const std::string& row : rows)
    all += row;
  return all;
}

uint64_t seed_of_this_run() {
  const char* const given = std::getenv("WEIR_SEED");  // NOLINT(concurrency-mt-unsafe): one thread.
  return given != nullptr ? std::stoull(given) : 1;
}

// Rows as an archive has them, some of them noise, some empty, some longer than a member.
std::vector<std::string> some_rows(base::Random& random) {
  std::vector<std::string> rows(random.below(30));
  for (std::string& row : rows) {
    const bool noise = random.below(3) == 0;
    const uint64_t bytes = random.below(10) == 0 ? random.below(700) : random.below(60);
    while (row.size() < bytes) {
      if (noise) {
        row += static_cast<char>(random.next());
      } else {
        row += R"({"path":"/api/users","status":)" + std::to_string(200 + random.below(5)) + "}\n";
      }
    }
  }
  return rows;
}

TEST(GzipTest, MembersEndAtTheLastRowThatFits) {
  const Stream stream =
      compress({"aaa", "bbb", "cccc", "d", "0123456789abcdef", "e"}, {.member_raw_bytes_max = 10});
  std::vector<uint64_t> raw_bytes;
  for (const GzipMember& member : stream.members)
    raw_bytes.push_back(member.raw_bytes);
  // aaa bbb cccc | d | the longest row is cut where a member is full | its rest and e.
  EXPECT_EQ(raw_bytes, (std::vector<uint64_t>{10, 1, 10, 7}));
  EXPECT_EQ(decompress(stream.bytes).raw, "aaabbbccccd0123456789abcdefe");
}

TEST(GzipTest, EveryMemberIsAStreamOfItsOwn) {
  base::Random random{3};
  std::vector<std::string> rows;
  while (rows.size() < 100)
    rows.push_back(joined(some_rows(random)));
  const std::string raw = joined(rows);
  const Stream stream = compress(rows, {.member_raw_bytes_max = 5000});
  ASSERT_GT(stream.members.size(), 3U);
  uint64_t raw_offset = 0;
  uint64_t compressed_offset = 0;
  for (const GzipMember& member : stream.members) {
    EXPECT_EQ(member.raw_offset, raw_offset);
    EXPECT_EQ(member.compressed_offset, compressed_offset);
    EXPECT_LE(member.raw_bytes, 5000U);
    const std::string_view bytes = stream.bytes;
    EXPECT_EQ(decompress(bytes.substr(member.compressed_offset, member.compressed_bytes)).raw,
              raw.substr(member.raw_offset, member.raw_bytes));
    raw_offset += member.raw_bytes;
    compressed_offset += member.compressed_bytes;
  }
  EXPECT_EQ(raw_offset, raw.size());
  EXPECT_EQ(compressed_offset, stream.bytes.size());
}

TEST(GzipTest, AnEmptyStreamIsOneEmptyMember) {
  const Stream stream = compress({}, {});
  EXPECT_EQ(stream.members.size(), 1U);
  EXPECT_EQ(decompress(stream.bytes, 0), (Outcome{"", {}}));
  EXPECT_EQ(gunzip_by_zlib(stream.bytes), "");
}

// Goal: neither direction may depend on how its input happened to be split. Method: random rows,
// written and read whole and in pieces of many sizes; and what comes back is what went in, for zlib
// too.
TEST(GzipTest, BothDirectionsIgnoreHowTheirInputWasSplitAndRoundTrip) {
  const uint64_t seed = seed_of_this_run();
  SCOPED_TRACE("WEIR_SEED=" + std::to_string(seed));
  base::Random random{seed};
  for (int round = 0; round < 100; ++round) {
    const std::vector<std::string> rows = some_rows(random);
    const GzipOptions options{.member_raw_bytes_max = 1 + random.below(300),
                              .level = 1 + static_cast<int>(random.below(9))};
    const Stream whole = compress(rows, options);
    for (const size_t piece_bytes : {1U, 2U, 3U, 7U, 100U})
      EXPECT_EQ(compress(rows, options, piece_bytes), whole);
    const Outcome expected{joined(rows), {}};
    EXPECT_EQ(decompress(whole.bytes), expected);
    for (const size_t piece_bytes : {1U, 2U, 3U, 7U, 23U, 24U, 25U, 1000U})
      EXPECT_EQ(decompress(whole.bytes, UINT64_MAX, piece_bytes), expected);
    EXPECT_EQ(gunzip_by_zlib(whole.bytes), expected.raw);
    if (HasFailure()) return;
  }
}

// Goal: what is damaged is never taken for whole. Method: every bit of several files is flipped in
// turn: repetitive text (where another match may copy the same bytes), noise (stored blocks, which
// have padding), one byte, nothing.
TEST(GzipTest, FindsEverySingleFlippedBit) {
  base::Random random{5};
  std::string noise;
  while (noise.size() < 300)
    noise += static_cast<char>(random.next());
  std::string repetitive;
  while (repetitive.size() < 3000)
    repetitive += R"({"id":1,"path":"/a"})";
  const std::vector<std::vector<std::string>> files{
      {repetitive}, {noise}, {"x"}, {}, {"first\n", std::string(300, 'a'), "last\n"}};
  for (const auto& rows : files) {
    const std::string good = compress(rows, {.member_raw_bytes_max = 2000}).bytes;
    ASSERT_FALSE(decompress(good).error.has_value());
    for (size_t bit = 0; bit < good.size() * 8; ++bit) {
      std::string bad = good;
      bad[bit / 8] = static_cast<char>(bad[bit / 8] ^ (1 << (bit % 8)));
      EXPECT_EQ(decompress(bad).error, ErrorCode::corrupt) << "bit " << bit;
      EXPECT_EQ(decompress(bad, UINT64_MAX, 5).error, ErrorCode::corrupt) << "bit " << bit;
    }
  }
}

TEST(GzipTest, FindsEveryTruncationButThatBetweenMembers) {
  const Stream stream = compress({"one\n", "two\n", "three\n"}, {.member_raw_bytes_max = 8});
  ASSERT_EQ(stream.members.size(), 2U);
  const std::string_view bytes = stream.bytes;
  for (size_t length = 0; length < bytes.size(); ++length) {
    const Outcome outcome = decompress(bytes.substr(0, length));
    if (length == stream.members[0].compressed_bytes) {
      EXPECT_EQ(outcome, (Outcome{"one\ntwo\n", {}}));
    } else {
      EXPECT_EQ(outcome.error, ErrorCode::corrupt) << length;
    }
  }
}

TEST(GzipTest, RefusesWhatFollowsTheLastMember) {
  const std::string good = compress({"row\n"}, {}).bytes;
  for (const std::string& garbage :
       {std::string{'\0'}, std::string{"x"}, good.substr(0, 24), good + "\x1f"}) {
    EXPECT_EQ(decompress(good + garbage).error, ErrorCode::corrupt);
  }
  EXPECT_EQ(decompress(good + good).raw, "row\nrow\n");
}

TEST(GzipTest, RefusesGzipThatOthersWrote) {
  std::string bytes(100, '\0');
  std::string raw{"row\n"};
  z_stream stream{};
  ASSERT_EQ(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  stream.next_in = reinterpret_cast<Bytef*>(raw.data());
  stream.avail_in = static_cast<uInt>(raw.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  ASSERT_EQ(deflate(&stream, Z_FINISH), Z_STREAM_END);
  bytes.resize(stream.total_out);
  deflateEnd(&stream);
  ASSERT_EQ(gunzip_by_zlib(bytes), raw);
  EXPECT_EQ(decompress(bytes).error, ErrorCode::corrupt);
}

TEST(GzipTest, TheLimitOfRawBytesIsInclusiveAndCountsOverAllMembers) {
  const std::string zeros(1'000'000, '\0');
  const Stream stream = compress({zeros, zeros}, {});
  ASSERT_EQ(stream.members.size(), 2U);
  for (const size_t piece_bytes : {size_t{1}, size_t{100}, SIZE_MAX}) {
    EXPECT_EQ(decompress(stream.bytes, 2'000'000, piece_bytes).raw, zeros + zeros);
    EXPECT_EQ(decompress(stream.bytes, 1'999'999, piece_bytes).error, ErrorCode::limit_exceeded);
  }
}

TEST(GzipTest, AnErrorOfTheSinkEndsTheStream) {
  const base::Error full{ErrorCode::limit_exceeded, base::Origin::storage,
                         base::Retry::with_backoff, 0, "disk"};
  int calls = 0;
  GzipWriter writer{{.member_raw_bytes_max = 4}, [&](std::string_view, const GzipMember&) {
                      ++calls;
                      return Status{full};
                    }};
  EXPECT_EQ(writer.append("12345").error().code, ErrorCode::limit_exceeded);
  EXPECT_FALSE(writer.append("6").ok());
  EXPECT_FALSE(writer.finish().ok());
  EXPECT_EQ(writer.raw_bytes(), 0U);

  GzipReader reader{100, [&](std::string_view) {
                      ++calls;
                      return Status{full};
                    }};
  const std::string bytes = compress({"row\n"}, {}).bytes;
  EXPECT_EQ(reader.append(bytes).error().code, ErrorCode::limit_exceeded);
  EXPECT_FALSE(reader.append(bytes).ok());
  EXPECT_FALSE(reader.finish().ok());
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace weir::codec
