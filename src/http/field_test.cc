#include "http/field.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace weir::http {
namespace {

std::vector<std::string> members(std::string_view list, Quotes quotes = Quotes::plain) {
  std::vector<std::string> found;
  for (ListMembers list_members{list, quotes}; list_members.next();) {
    found.emplace_back(list_members.member());
  }
  return found;
}

TEST(FieldTest, ClassifiesEveryKnownNameInAnyCase) {
  for (const NamedField& known : kFieldNames) {
    if (known.id == FieldName::other) continue;
    std::string upper{known.text};
    std::string lower{known.text};
    for (char& byte : upper)
      byte = static_cast<char>(std::toupper(byte));
    for (char& byte : lower)
      byte = static_cast<char>(std::tolower(byte));
    EXPECT_EQ(field_name(known.text), known.id);
    EXPECT_EQ(field_name(upper), known.id) << upper;
    EXPECT_EQ(field_name(lower), known.id) << lower;
    EXPECT_EQ(text(known.id), known.text);
  }
}

TEST(FieldTest, ClassifiesNothingElse) {
  for (const char* name : {"", "x", "hos", "hostt", "h\x0Fst", "content_length", "content-lengtg",
                           "content-length ", "xost", "cooki\xE9"}) {
    EXPECT_EQ(field_name(name), FieldName::other) << name;
  }
  EXPECT_EQ(field_name(std::string(10'000, 'a')), FieldName::other);
  for (const NamedField& known : kFieldNames) {  // One wrong character anywhere.
    for (size_t at = 0; at < known.text.size(); ++at) {
      for (const char wrong : {'_', '\0', '~'}) {
        std::string name{known.text};
        name[at] = wrong;
        EXPECT_EQ(field_name(name), FieldName::other) << name;
      }
    }
  }
}

TEST(FieldTest, ComparesAsciiLettersWithoutCaseAndNothingElse) {
  EXPECT_TRUE(equals_ignore_case("aZ-09", "Az-09"));
  EXPECT_FALSE(equals_ignore_case("a", "aa"));
  EXPECT_FALSE(equals_ignore_case("@", "`")) << "they differ by the case bit alone";
  EXPECT_FALSE(equals_ignore_case("\xC9", "\xE9"));
}

TEST(FieldTest, WalksThroughLists) {
  using List = std::vector<std::string>;
  EXPECT_EQ(members(""), List{});
  EXPECT_EQ(members(" , \t,"), List{});
  EXPECT_EQ(members("a"), List{"a"});
  EXPECT_EQ(members(", a ,\tb c,,d"), (List{"a", "b c", "d"}));
  EXPECT_EQ(members("\"a,b\", c"), (List{"\"a", "b\"", "c"}));
  EXPECT_EQ(members("\"a,b\", c", Quotes::quoted_strings), (List{"\"a,b\"", "c"}));
  EXPECT_EQ(members("x=\"\\\",\", c", Quotes::quoted_strings), (List{"x=\"\\\",\"", "c"}));
  EXPECT_EQ(members("\"a, b", Quotes::quoted_strings), List{"\"a, b"});
  EXPECT_EQ(members("\"a\\", Quotes::quoted_strings), List{"\"a\\"});
}

TEST(FieldTest, FindsATokenInAList) {
  EXPECT_TRUE(list_has("keep-alive, Close", "close"));
  EXPECT_FALSE(list_has("closed, not-close", "close"));
}

TEST(FieldTest, FindsFieldsByIdAndByName) {
  const std::vector<Field> fields{{"Cookie", "1", FieldName::cookie},
                                  {"X-A", "2", FieldName::other},
                                  {"cookie", "3", FieldName::cookie}};
  EXPECT_EQ(value_of(fields, FieldName::cookie), "1");
  EXPECT_EQ(value_of(fields, FieldName::host), "");
  ASSERT_NE(find(fields, "COOKIE"), nullptr);
  EXPECT_EQ(find(fields, "COOKIE")->value, "1");
  ASSERT_NE(find(fields, "x-a"), nullptr);
  EXPECT_EQ(find(fields, "x-a")->value, "2");
  EXPECT_EQ(find(fields, "x-b"), nullptr);
}

TEST(FieldTest, KnowsTheHopByHopFields) {
  for (const char* name :
       {"Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "TE", "Trailer",
        "Upgrade", "HTTP2-Settings", "Proxy-Authenticate", "Proxy-Authorization"}) {
    EXPECT_TRUE(is_hop_by_hop(field_name(name))) << name;
  }
  for (const char* name : {"Host", "Content-Length", "Via", "X-A", "Expect"}) {
    EXPECT_FALSE(is_hop_by_hop(field_name(name))) << name;
  }
}

TEST(FieldTest, KnowsTokensAndFieldValues) {
  EXPECT_TRUE(is_token("!#$%&'*+-.^_`|~09azAZ"));
  for (const char* text : {"", "a b", "a:", "a/", "(", "\"", "a\x80", "a\r"}) {
    EXPECT_FALSE(is_token(text)) << text;
  }
  EXPECT_TRUE(is_field_value(""));
  EXPECT_TRUE(is_field_value("a long enough value\twith a tab, \x80 and \xFF"));
  for (const char control : {'\0', '\r', '\n', '\x01', '\x1F', '\x7F'}) {
    for (size_t at = 0; at < 20; ++at) {
      std::string value(20, 'a');
      value[at] = control;
      EXPECT_FALSE(is_field_value(value)) << static_cast<int>(control) << " at " << at;
    }
  }
}

TEST(FieldTest, TrimsSpacesAndTabsOnly) {
  EXPECT_EQ(trim(" \t a b\t "), "a b");
  EXPECT_EQ(trim(" \t "), "");
  EXPECT_EQ(trim("\va\v"), "\va\v");
}

}  // namespace
}  // namespace weir::http
