#include "objects/objects.h"

#include <gtest/gtest.h>

namespace weir::objects {
namespace {

using base::ErrorCode;
using namespace std::string_literals;  // NOLINT(google-build-using-namespace): literals only.

TEST(ObjectKeyTest, AcceptsPaths) {
  for (const std::string& key :
       {"a"s, "traffic-events/2025-10-15.jsonl.gz"s, "..."s, ".hidden/..x/y."s, "a b"s, "~x"s,
        "C:\\x"s, "日本/é"s, "\U0010FFFF"s, "\xed\x9f\xbf"s, "\xee\x80\x80"s,
        std::string(1024, 'k')}) {
    EXPECT_TRUE(check_key(key).ok()) << key;
  }
}

TEST(ObjectKeyTest, RefusesWhatIsNoPathOrHidesSomething) {
  for (const std::string& key : {""s,
                                 "/"s,
                                 "/a"s,
                                 "a/"s,
                                 "a//b"s,
                                 "."s,
                                 ".."s,
                                 "a/.."s,
                                 "../a"s,
                                 "a/./b"s,
                                 "a\0b"s,
                                 "a\nb"s,
                                 "a\x7f"s,
                                 "\x1f"s,
                                 "\x80"s,
                                 "\xc0\xaf"s,
                                 "\xc1\xbf"s,
                                 "\xc3"s,
                                 "\xe0\x80\x80"s,
                                 "\xed\xa0\x80"s,
                                 "\xf0\x80\x80\x80"s,
                                 "\xf4\x90\x80\x80"s,
                                 "\xf5\x80\x80\x80"s,
                                 "\xff"s,
                                 "\xe2\x82"s,
                                 "\xe2\x82/"s}) {
    EXPECT_EQ(check_key(key).error().code, ErrorCode::invalid_input) << key;
  }
  EXPECT_EQ(check_key(std::string(1025, 'k')).error().code, ErrorCode::limit_exceeded);
}

TEST(PutOptionsTest, LimitsAreInclusive) {
  PutOptions options;
  options.content_type.assign(kContentTypeBytesMax, 't');
  options.content_encoding.assign(kContentEncodingBytesMax, 'e');
  options.metadata["name"].assign(kMetadataBytesMax - 4, 'v');
  EXPECT_TRUE(check_options(options).ok());
  PutOptions longer = options;
  longer.content_type += 't';
  EXPECT_EQ(check_options(longer).error().code, ErrorCode::limit_exceeded);
  longer = options;
  longer.content_encoding += 'e';
  EXPECT_EQ(check_options(longer).error().code, ErrorCode::limit_exceeded);
  longer = options;
  longer.metadata["name"] += 'v';
  EXPECT_EQ(check_options(longer).error().code, ErrorCode::limit_exceeded);

  PutOptions many;
  while (many.metadata.size() < kMetadataEntriesMax)
    many.metadata["n" + std::to_string(many.metadata.size())] = "";
  EXPECT_TRUE(check_options(many).ok());
  many.metadata["one-more"] = "";
  EXPECT_EQ(check_options(many).error().code, ErrorCode::limit_exceeded);
}

TEST(PutOptionsTest, RefusesWhatNoHttpFieldMayHold) {
  EXPECT_TRUE(check_options({.content_type = "text/plain; charset=utf-8",
                             .metadata = {{"archived_at", "2025-10-18T02:00:00.000Z"}, {"e", ""}}})
                  .ok());
  for (const std::string& text : {"a\r\nX: y"s, "a\0b"s, "é"s, " a"s, "a "s, "\t"s, "\x7f"s}) {
    EXPECT_FALSE(check_options({.content_type = text}).ok()) << text;
    EXPECT_FALSE(check_options({.content_encoding = text}).ok()) << text;
    EXPECT_FALSE(check_options({.metadata = {{"name", text}}}).ok()) << text;
  }
  for (const std::string& name : {""s, "Name"s, "a b"s, "a:"s, "é"s, "a\n"s}) {
    EXPECT_FALSE(check_options({.metadata = {{name, "v"}}}).ok()) << name;
  }
  EXPECT_FALSE(check_options({.if_absent = true, .if_match = "x"}).ok());
}

}  // namespace
}  // namespace weir::objects
