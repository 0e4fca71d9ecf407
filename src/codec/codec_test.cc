#include <array>
#include <limits>
#include <string>

#include <gtest/gtest.h>

#include "base/random.h"
#include "codec/crc32c.h"
#include "codec/iso_time.h"
#include "codec/little_endian.h"
#include "codec/sha256.h"
#include "codec/text.h"
#include "codec/varint.h"

namespace weir::codec {
namespace {

// Source: RFC 3720, appendix B.4.
TEST(Crc32cTest, MatchesThePublishedVectors) {
  std::string ascending;
  for (int i = 0; i < 32; ++i)
    ascending.push_back(static_cast<char>(i));
  const std::string descending{ascending.rbegin(), ascending.rend()};
  for (const auto function : {crc32c, crc32c_portable}) {
    EXPECT_EQ(function("", 0), 0U);
    EXPECT_EQ(function("123456789", 0), 0xe3069283U);
    EXPECT_EQ(function(std::string(32, '\0'), 0), 0x8a9136aaU);
    EXPECT_EQ(function(std::string(32, '\xff'), 0), 0x62a8ab43U);
    EXPECT_EQ(function(ascending, 0), 0x46dd794eU);
    EXPECT_EQ(function(descending, 0), 0x113fdb5cU);
  }
}

TEST(Crc32cTest, BothVersionsAgreeAtEveryLengthAndSplit) {
  base::Random random{1};
  std::string bytes;
  for (int length = 0; length < 100; ++length) {
    EXPECT_EQ(crc32c(bytes), crc32c_portable(bytes));
    for (size_t split = 0; split <= bytes.size(); ++split) {
      const std::string_view view = bytes;
      EXPECT_EQ(crc32c(view.substr(split), crc32c(view.substr(0, split))), crc32c(view));
    }
    bytes.push_back(static_cast<char>(random.next()));
  }
}

TEST(HexTest, RoundTripsAndRefusesWhatIsNotHex) {
  EXPECT_EQ(hex_encode(std::string_view{"\x00\x7f\xff", 3}), "007fff");
  EXPECT_EQ(hex_decode("007fFF").value(), (std::string{"\x00\x7f\xff", 3}));
  EXPECT_FALSE(hex_decode("0").ok());
  EXPECT_FALSE(hex_decode("0g").ok());
}

// Source: RFC 4648, section 10.
TEST(Base64Test, MatchesThePublishedVectors) {
  const std::array<std::array<std::string, 2>, 7> vectors = {{{"", ""},
                                                              {"f", "Zg=="},
                                                              {"fo", "Zm8="},
                                                              {"foo", "Zm9v"},
                                                              {"foob", "Zm9vYg=="},
                                                              {"fooba", "Zm9vYmE="},
                                                              {"foobar", "Zm9vYmFy"}}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(base64_decode(text).value(), bytes);
    EXPECT_EQ(base64url_decode(base64url_encode(bytes)).value(), bytes);
  }
  EXPECT_EQ(base64url_encode("\xfb\xff\xfe"), "-__-");
}

TEST(Base64Test, RefusesEveryOtherSpelling) {
  for (const std::string_view text :
       {"Zg", "Zg=", "Z===", "Zh==", "Zm9=", "Zm9v=", "Zm 9", "Zm9v\n", "-__-", "===="}) {
    EXPECT_FALSE(base64_decode(text).ok()) << text;
  }
  for (const std::string_view text : {"Z", "Zg==", "Zh", "+//+"}) {
    EXPECT_FALSE(base64url_decode(text).ok()) << text;
  }
}

// Source: FIPS 180-4 examples; RFC 4231, test cases 1 and 2.
TEST(Sha256Test, MatchesThePublishedVectors) {
  EXPECT_EQ(hex_encode(as_text(sha256("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex_encode(as_text(sha256(""))),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 pieces;
  pieces.update("a");
  pieces.update("");
  pieces.update("bc");
  EXPECT_EQ(pieces.finish(), sha256("abc"));
  const HmacSha256 hmac{std::string(20, '\x0b')};
  static_cast<void>(hmac("another"));
  EXPECT_EQ(hex_encode(as_text(hmac("Hi There"))),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  EXPECT_EQ(hex_encode(as_text(HmacSha256{"Jefe"}("what do ya want for nothing?"))),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  EXPECT_TRUE(equal_in_constant_time("ab", "ab"));
  EXPECT_FALSE(equal_in_constant_time("ab", "ac") || equal_in_constant_time("ab", "abc"));
}

TEST(LittleEndianTest, TheLeastByteComesFirst) {
  std::string bytes;
  append_little_endian(bytes, uint16_t{0x0201});
  append_little_endian(bytes, uint32_t{0x06050403});
  append_little_endian(bytes, uint64_t{0x0e0d0c0b0a090807});
  EXPECT_EQ(bytes, "\1\2\3\4\5\6\7\x8\x9\xa\xb\xc\xd\xe");
  EXPECT_EQ(load_little_endian<uint32_t>(bytes.data() + 2), 0x06050403U);
  EXPECT_EQ(load_little_endian<uint64_t>(bytes.data() + 6), 0x0e0d0c0b0a090807U);
  std::array<char, 4> four{};
  store_little_endian(four.data(), uint32_t{0x04030201});
  EXPECT_EQ(std::string(four.begin(), four.end()), "\1\2\3\4");
}

TEST(IsoTimeTest, WritesAndReadsTheSameMoment) {
  EXPECT_EQ(hour_bucket(unix_hour_of_ms(1'730'956'800'000)), "2024-11-07T05");
  EXPECT_EQ(iso_ms(1'730'956'800'042), "2024-11-07T05:20:00.042Z");
  EXPECT_EQ(iso_day(unix_day_of_ms(1'730'956'800'042)), "2024-11-07");
  base::Random random{2};
  for (int i = 0; i < 2000; ++i) {
    const int64_t ms =
        static_cast<int64_t>(random.below(300'000'000'000'000U)) - 50'000'000'000'000;
    EXPECT_EQ(parse_iso_ms(iso_ms(ms)).value(), ms);
    EXPECT_EQ(parse_hour_bucket(hour_bucket(unix_hour_of_ms(ms))).value(), unix_hour_of_ms(ms));
    EXPECT_EQ(parse_iso_day(iso_day(unix_day_of_ms(ms))).value(), unix_day_of_ms(ms));
    EXPECT_EQ(iso_ms(ms).substr(0, 13), hour_bucket(unix_hour_of_ms(ms)));
  }
}

TEST(IsoTimeTest, CutsWhatFourDigitsCannotSay) {
  EXPECT_EQ(iso_ms(std::numeric_limits<int64_t>::max()), "9999-12-31T23:59:59.999Z");
  EXPECT_EQ(iso_ms(std::numeric_limits<int64_t>::min()), "0000-01-01T00:00:00.000Z");
  EXPECT_EQ(hour_bucket(std::numeric_limits<int64_t>::max()), "9999-12-31T23");
  EXPECT_EQ(iso_ms(-1), "1969-12-31T23:59:59.999Z");
}

TEST(IsoTimeTest, RefusesWhatIsNoMoment) {
  EXPECT_EQ(parse_iso_ms("1970-01-01T00:00:01Z").value(), 1000);
  for (const std::string_view text :
       {"", "2025-02-29T00:00:00Z", "2025-13-01T00:00:00Z", "2025-01-01T24:00:00Z",
        "2025-01-01T00:60:00Z", "2025-01-01T00:00:60Z", "2025-01-01T00:00:00", "2025-01-01",
        "2025-01-01T00:00:00.1Z", "2025-01-01T00:00:00.000Zx", "2025-1-01T00:00:00Z"}) {
    EXPECT_FALSE(parse_iso_ms(text).ok()) << text;
  }
  EXPECT_FALSE(parse_hour_bucket("2025-01-01T24").ok());
  EXPECT_FALSE(parse_iso_day("2025-00-01").ok());
}

TEST(VarintTest, RoundTripsEveryWidth) {
  char bytes[kVarintBytesMax];
  for (unsigned shift = 0; shift < 64; ++shift) {
    for (const uint64_t value :
         {uint64_t{1} << shift, (uint64_t{1} << shift) - 1, ~uint64_t{0} >> shift}) {
      const auto size = static_cast<size_t>(write_varint(bytes, value) - bytes);
      std::string_view in{bytes, size};
      uint64_t read = 0;
      EXPECT_TRUE(read_varint(in, read) && in.empty());
      EXPECT_EQ(read, value);
      std::string_view cut{bytes, size - 1};
      EXPECT_FALSE(read_varint(cut, read));
      EXPECT_EQ(unzigzag(zigzag(static_cast<int64_t>(value))), static_cast<int64_t>(value));
    }
  }
}

TEST(VarintTest, RefusesLongerFormsAndOverflow) {
  uint64_t value = 0;
  std::string_view padded{"\x80\x00", 2};
  EXPECT_FALSE(read_varint(padded, value));
  std::string_view overflow{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02"};
  EXPECT_FALSE(read_varint(overflow, value));
  std::string_view endless{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
  EXPECT_FALSE(read_varint(endless, value));
}

}  // namespace
}  // namespace weir::codec
