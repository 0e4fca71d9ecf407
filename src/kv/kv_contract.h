#pragma once
// What every Kv must do. A test file instantiates it with a fixture type that has
//   base::ManualClock clock;  std::unique_ptr<Kv> open();   // Opens the same store again.

#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "kv/kv.h"

namespace weir::kv {

// Threading: one thread at a time.
template <typename Store>
class KvContract : public ::testing::Test {
 protected:
  static std::vector<std::string> names(const Listing& listing) {
    std::vector<std::string> names;
    for (const Listed& listed : listing.keys)
      names.push_back(listed.key);
    return names;
  }

  Store store;
  std::unique_ptr<Kv> kv = store.open();
};

TYPED_TEST_SUITE_P(KvContract);

TYPED_TEST_P(KvContract, AMissingKeyIsNothing) {
  EXPECT_FALSE(this->kv->get("none").value().has_value());
  EXPECT_TRUE(this->kv->remove("none").ok());
}

TYPED_TEST_P(KvContract, AValueComesBackWithItsMetadataAndSurvivesReopening) {
  const std::string bytes{"\0\xff{}", 4};
  ASSERT_TRUE(this->kv->put("a:b", bytes, R"({"version":1})").ok());
  this->kv = this->store.open();
  const Entry entry = this->kv->get("a:b").value().value();
  EXPECT_EQ(entry.value, bytes);
  EXPECT_EQ(entry.metadata, R"({"version":1})");
  EXPECT_FALSE(entry.expires.has_value());
}

TYPED_TEST_P(KvContract, ALaterPutReplacesValueMetadataAndExpiry) {
  const Change first{"k", "1", "{}", this->store.clock.wall() + std::chrono::seconds{1}};
  ASSERT_TRUE(this->kv->write({&first, 1}).ok());
  ASSERT_TRUE(this->kv->put("k", "").ok());
  this->store.clock.advance(std::chrono::hours{1});
  const Entry entry = this->kv->get("k").value().value();
  EXPECT_EQ(entry.value, "");
  EXPECT_EQ(entry.metadata, "");
  ASSERT_TRUE(this->kv->remove("k").ok());
  EXPECT_FALSE(this->kv->get("k").value().has_value());
}

TYPED_TEST_P(KvContract, AKeyIsGoneFromTheMomentItExpires) {
  const Change change{"k", "v", "", this->store.clock.wall() + std::chrono::seconds{60}};
  ASSERT_TRUE(this->kv->write({&change, 1}).ok());
  this->store.clock.advance(std::chrono::seconds{60} - std::chrono::microseconds{1});
  EXPECT_TRUE(this->kv->get("k").value().has_value());
  EXPECT_EQ(this->kv->list("", "", 10).value().keys.size(), 1U);
  this->store.clock.advance(std::chrono::microseconds{1});
  EXPECT_FALSE(this->kv->get("k").value().has_value());
  EXPECT_TRUE(this->kv->list("", "", 10).value().keys.empty());
}

TYPED_TEST_P(KvContract, ABatchIsMadeInOrderAndWholeOrNotAtAll) {
  ASSERT_TRUE(this->kv->put("old", "1").ok());
  const std::string too_long(Kv::kKeyBytesMax + 1, 'k');
  const std::vector<Change> bad{{"new", "1"}, {"old", {}}, {too_long, "1"}};
  const base::Status refused = this->kv->write(bad);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, base::ErrorCode::limit_exceeded);
  EXPECT_TRUE(this->kv->get("old").value().has_value());
  EXPECT_FALSE(this->kv->get("new").value().has_value());

  const std::vector<Change> good{{"new", "1"}, {"old", {}}, {"new", "2"}};
  ASSERT_TRUE(this->kv->write(good).ok());
  EXPECT_FALSE(this->kv->get("old").value().has_value());
  EXPECT_EQ(this->kv->get("new").value().value().value, "2");
}

TYPED_TEST_P(KvContract, LimitsAreInclusive) {
  const std::string key(Kv::kKeyBytesMax, 'k');
  const std::string value(Kv::kValueBytesMax, 'v');
  const std::string metadata(Kv::kMetadataBytesMax, 'm');
  EXPECT_TRUE(this->kv->put(key, value, metadata).ok());
  EXPECT_EQ(this->kv->get(key).value().value().value.size(), value.size());
  EXPECT_FALSE(this->kv->put(key + "k", "").ok());
  EXPECT_FALSE(this->kv->put("", "").ok());
  EXPECT_FALSE(this->kv->put("k", value + "v").ok());
  EXPECT_FALSE(this->kv->put("k", "", metadata + "m").ok());
}

TYPED_TEST_P(KvContract, ListsByPrefixInOrderAndInPages) {
  for (const char* const key : {"a:2", "a:1", "a", "b", "a:3", "a\xff", "a:\xff", "a;"}) {
    ASSERT_TRUE(this->kv->put(key, "").ok());
  }
  EXPECT_EQ(this->names(this->kv->list("a:", "", 100).value()),
            (std::vector<std::string>{"a:1", "a:2", "a:3", "a:\xff"}));
  EXPECT_EQ(this->kv->list("", "", 100).value().keys.size(), 8U);
  EXPECT_EQ(this->names(this->kv->list("a\xff", "", 100).value()),
            (std::vector<std::string>{"a\xff"}));
  const Listing first = this->kv->list("a:", "", 2).value();
  EXPECT_FALSE(first.complete);
  const Listing second = this->kv->list("a:", first.keys.back().key, 2).value();
  EXPECT_TRUE(second.complete);
  EXPECT_EQ(this->names(second), (std::vector<std::string>{"a:3", "a:\xff"}));
}

REGISTER_TYPED_TEST_SUITE_P(KvContract, AMissingKeyIsNothing,
                            AValueComesBackWithItsMetadataAndSurvivesReopening,
                            ALaterPutReplacesValueMetadataAndExpiry,
                            AKeyIsGoneFromTheMomentItExpires, ABatchIsMadeInOrderAndWholeOrNotAtAll,
                            LimitsAreInclusive, ListsByPrefixInOrderAndInPages);

}  // namespace weir::kv
