#pragma once
// What every object store must do. A test file instantiates it with a fixture type that has
//   base::ManualClock clock;  std::unique_ptr<Store> open();  // Opens the same store again.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "objects/objects.h"

namespace weir::objects {

// Threading: one thread at a time.
template <typename Place>
class ObjectsContract : public ::testing::Test {
 protected:
  std::string content(std::string_view key) {
    auto object = store->open(key);
    if (!object.ok()) return "error";
    std::string bytes;
    const base::Status read = read_object(*object.value(), [&bytes](std::string_view piece) {
      bytes += piece;
      return base::Status{};
    });
    return read.ok() ? bytes : "error";
  }
  std::vector<std::string> keys(std::string_view prefix = "") {
    std::vector<std::string> keys;
    const Listing listing = store->list(prefix, "", kPageObjectsMax).value();
    for (const Listed& listed : listing.objects)
      keys.push_back(listed.key);
    return keys;
  }
  // Nothing when `result` is ok.
  template <typename T>
  static std::optional<base::ErrorCode> code(const base::Result<T>& result) {
    return result.ok() ? std::nullopt : std::optional{result.error().code};
  }

  Place place;
  std::unique_ptr<Store> store = place.open();
};

TYPED_TEST_SUITE_P(ObjectsContract);

TYPED_TEST_P(ObjectsContract, AMissingObjectIsNotFoundAndRemovingItIsFine) {
  EXPECT_EQ(this->code(this->store->head("a/b")), base::ErrorCode::not_found);
  EXPECT_EQ(this->code(this->store->open("a/b")), base::ErrorCode::not_found);
  EXPECT_EQ(this->code(verify(*this->store, "a/b")), base::ErrorCode::not_found);
  EXPECT_TRUE(this->store->remove("a/b").ok());
}

TYPED_TEST_P(ObjectsContract, AnObjectComesBackAsItWasPutAndSurvivesReopening) {
  const std::string bytes{"\0\xff{}\n", 6};
  const PutOptions options{.content_type = "application/gzip",
                           .metadata = {{"archived_at", "2025-10-18T02:00:00.000Z"}, {"n", ""}}};
  const ObjectInfo put =
      this->store->put("traffic-events/2025-10-15.jsonl.gz", bytes, options).value();
  EXPECT_EQ(put.key, "traffic-events/2025-10-15.jsonl.gz");
  EXPECT_EQ(put.bytes, bytes.size());
  EXPECT_EQ(put.sha256, codec::sha256(bytes));
  EXPECT_EQ(put.content_type, "application/gzip");
  EXPECT_EQ(put.content_encoding, "");
  EXPECT_EQ(put.metadata, options.metadata);
  EXPECT_EQ(put.modified, this->place.clock.wall());
  EXPECT_FALSE(put.etag.empty());

  this->store.reset();
  this->store = this->place.open();
  EXPECT_EQ(this->store->head(put.key).value(), put);
  EXPECT_EQ(verify(*this->store, put.key).value(), put);
  EXPECT_EQ(this->content(put.key), bytes);
}

TYPED_TEST_P(ObjectsContract, AnEmptyObjectIsAnObject) {
  ASSERT_TRUE(this->store->put("empty", "", {}).ok());
  EXPECT_EQ(this->store->head("empty").value().bytes, 0U);
  EXPECT_EQ(this->content("empty"), "");
}

TYPED_TEST_P(ObjectsContract, ReadsAnyRangeAndStopsAtTheEnd) {
  ASSERT_TRUE(this->store->put("k", "0123456789", {}).ok());
  std::string out(4, '-');
  EXPECT_EQ(this->store->get("k", 3, out).value(), 4U);
  EXPECT_EQ(out, "3456");
  EXPECT_EQ(this->store->get("k", 8, out).value(), 2U);
  EXPECT_EQ(out, "8956");
  EXPECT_EQ(this->store->get("k", 10, out).value(), 0U);
  EXPECT_EQ(this->store->get("k", UINT64_MAX, out).value(), 0U);
  EXPECT_EQ(this->store->get("k", 0, {}).value(), 0U);
  EXPECT_EQ(this->code(this->store->get("none", 0, out)), base::ErrorCode::not_found);
}

TYPED_TEST_P(ObjectsContract, AnUploadInPiecesIsInvisibleUntilItIsCommitted) {
  std::string whole;
  auto upload = this->store->start_put("k", {.content_type = "text/plain"}).value();
  for (size_t bytes : {size_t{0}, size_t{1}, size_t{kPartBytes}, size_t{3 * kPartBytes / 2}}) {
    const std::string piece(bytes, static_cast<char>('a' + whole.size() % 26));
    ASSERT_TRUE(upload->append(piece).ok());
    whole += piece;
    EXPECT_EQ(this->code(this->store->head("k")), base::ErrorCode::not_found);
    EXPECT_TRUE(this->keys().empty());
  }
  const ObjectInfo info = upload->commit().value();
  EXPECT_EQ(info.bytes, whole.size());
  EXPECT_EQ(info.sha256, codec::sha256(whole));
  upload.reset();
  EXPECT_TRUE(this->content("k") == whole);
}

TYPED_TEST_P(ObjectsContract, AnUploadDestroyedBeforeItsCommitLeavesNothing) {
  ASSERT_TRUE(this->store->put("old", "1", {}).ok());
  for (const char* const key : {"new", "old"}) {
    auto upload = this->store->start_put(key, {}).value();
    ASSERT_TRUE(upload->append("2").ok());
  }
  EXPECT_EQ(this->keys(), (std::vector<std::string>{"old"}));
  EXPECT_EQ(this->content("old"), "1");
}

TYPED_TEST_P(ObjectsContract, AReplacementChangesEverythingAndAnOpenObjectStaysAsItWas) {
  const ObjectInfo first = this->store->put("k", "first", {.metadata = {{"m", "1"}}}).value();
  const auto open = this->store->open("k").value();
  this->place.clock.advance(std::chrono::seconds{1});
  const ObjectInfo second = this->store->put("k", "2", {.content_type = "text/plain"}).value();
  EXPECT_NE(second.etag, first.etag);
  EXPECT_EQ(this->store->head("k").value(), second);
  EXPECT_TRUE(second.metadata.empty());
  EXPECT_EQ(open->info(), first);
  std::string out(10, '-');
  const auto read = open->read_at(0, out);
  // A store without versions may have lost the old one, and then says so.
  if (read.ok()) {
    EXPECT_EQ(out.substr(0, read.value()), "first");
  } else {
    EXPECT_EQ(read.error().code, base::ErrorCode::conflict);
  }
}

TYPED_TEST_P(ObjectsContract, ConditionsAreDecidedAtTheCommit) {
  auto slow = this->store->start_put("k", {.if_absent = true}).value();
  ASSERT_TRUE(slow->append("slow").ok());
  const ObjectInfo first = this->store->put("k", "fast", {.if_absent = true}).value();
  EXPECT_EQ(this->code(slow->commit()), base::ErrorCode::conflict);
  slow.reset();
  EXPECT_EQ(this->code(this->store->put("k", "x", {.if_absent = true})), base::ErrorCode::conflict);

  const ObjectInfo second = this->store->put("k", "second", {.if_match = first.etag}).value();
  EXPECT_EQ(this->code(this->store->put("k", "x", {.if_match = first.etag})),
            base::ErrorCode::conflict);
  EXPECT_EQ(this->content("k"), "second");
  ASSERT_TRUE(this->store->remove("k").ok());
  EXPECT_EQ(this->code(this->store->put("k", "x", {.if_match = second.etag})),
            base::ErrorCode::conflict);
  EXPECT_EQ(this->code(this->store->head("k")), base::ErrorCode::not_found);
  EXPECT_TRUE(this->store->put("k", "third", {.if_absent = true}).ok());
}

TYPED_TEST_P(ObjectsContract, ARemovedObjectIsGoneAndItsKeyFree) {
  ASSERT_TRUE(this->store->put("k", "1", {}).ok());
  ASSERT_TRUE(this->store->remove("k").ok());
  EXPECT_EQ(this->code(this->store->head("k")), base::ErrorCode::not_found);
  EXPECT_TRUE(this->keys().empty());
  EXPECT_TRUE(this->store->remove("k").ok());
  ASSERT_TRUE(this->store->put("k", "2", {}).ok());
  EXPECT_EQ(this->content("k"), "2");
}

// Keys that file systems, URLs or cases confuse are all different, and all come back in order.
TYPED_TEST_P(ObjectsContract, HostileKeysStayApart) {
  std::vector<std::string> keys{"a",
                                "A",
                                "a/b",
                                "a%2fb",
                                "a%2Fb",
                                "a.b",
                                "a b",
                                "%61",
                                "~new-0",
                                "...",
                                ".a/..b",
                                "con",
                                "a\\b",
                                "a:b",
                                "a*?\"",
                                "日本/é",
                                "a\xcc\x81",
                                "á",
                                "-rf",
                                "a+b",
                                "a~",
                                "lost+found",
                                std::string(kKeyBytesMax, 'k'),
                                std::string(kKeyBytesMax - 1, 'k') + "l",
                                std::string(kKeyBytesMax - 1, 'k'),
                                std::string(kKeyBytesMax, 'K')};
  std::string wide;
  while (wide.size() + 3 <= kKeyBytesMax)
    wide += "語";
  keys.push_back(wide);
  for (size_t length = 195; length < 205; ++length)  // Around the length where names are shortened.
    keys.emplace_back(length, 'n');
  for (const std::string& key : keys)
    ASSERT_TRUE(this->store->put(key, "content of " + key, {}).ok()) << key;
  for (const std::string& key : keys)
    EXPECT_EQ(this->content(key), "content of " + key);
  std::sort(keys.begin(), keys.end());
  EXPECT_EQ(this->keys(), keys);
}

TYPED_TEST_P(ObjectsContract, RefusesWhatIsNoKeyAndNoOption) {
  std::string out(1, '-');
  for (const std::string_view key : {"", "/a", "a/", "a//b", ".", "a/../b", "a\nb", "\xff"}) {
    EXPECT_EQ(this->code(this->store->put(key, "", {})), base::ErrorCode::invalid_input);
    EXPECT_EQ(this->code(this->store->head(key)), base::ErrorCode::invalid_input);
    EXPECT_EQ(this->code(this->store->start_put(key, {})), base::ErrorCode::invalid_input);
    EXPECT_EQ(this->code(this->store->get(key, 0, out)), base::ErrorCode::invalid_input);
    EXPECT_EQ(this->code(this->store->remove(key)), base::ErrorCode::invalid_input);
  }
  const std::string long_key(kKeyBytesMax + 1, 'k');
  EXPECT_EQ(this->code(this->store->put(long_key, "", {})), base::ErrorCode::limit_exceeded);
  EXPECT_EQ(this->code(this->store->put("k", "", {.content_type = "a\r\nb"})),
            base::ErrorCode::invalid_input);
  EXPECT_EQ(this->code(this->store->put("k", "", {.if_absent = true, .if_match = "x"})),
            base::ErrorCode::invalid_input);
  EXPECT_TRUE(this->keys().empty());
}

TYPED_TEST_P(ObjectsContract, ASmallObjectsLimitIsInclusiveAsAreItsMetadatas) {
  PutOptions options;
  options.content_type.assign(kContentTypeBytesMax, 't');
  options.content_encoding.assign(kContentEncodingBytesMax, 'e');
  for (size_t i = 0; i < kMetadataEntriesMax; ++i)
    options.metadata["n" + std::to_string(100 + i)].assign(
        kMetadataBytesMax / kMetadataEntriesMax - 4, 'v');
  const std::string key(kKeyBytesMax, 'k');
  std::string bytes(kWholeBytesMax, 'x');
  ASSERT_TRUE(this->store->put(key, bytes, options).ok());
  EXPECT_EQ(this->store->head(key).value().metadata, options.metadata);
  EXPECT_EQ(verify(*this->store, key).value().bytes, kWholeBytesMax);
  bytes += 'x';
  const auto refused = this->store->put(key, bytes, {});
  EXPECT_EQ(this->code(refused), base::ErrorCode::limit_exceeded);
  EXPECT_EQ(refused.error().retry, base::Retry::never);
  EXPECT_EQ(this->store->head(key).value().bytes, kWholeBytesMax);
}

TYPED_TEST_P(ObjectsContract, ListsByPrefixInOrderAndInPages) {
  for (const char* const key : {"a/2", "a/1", "a", "b", "a/3", "a-", "a0", "á", "aa/1"})
    ASSERT_TRUE(this->store->put(key, key, {}).ok());
  EXPECT_EQ(this->keys("a/"), (std::vector<std::string>{"a/1", "a/2", "a/3"}));
  EXPECT_EQ(this->keys(),
            (std::vector<std::string>{"a", "a-", "a/1", "a/2", "a/3", "a0", "aa/1", "b", "á"}));
  EXPECT_TRUE(this->keys("none").empty() && this->keys("\xff").empty());
  const Listing first = this->store->list("a/", "", 2).value();
  EXPECT_FALSE(first.complete);
  const Listing second = this->store->list("a/", first.objects.back().key, 2).value();
  EXPECT_TRUE(second.complete);
  ASSERT_EQ(second.objects.size(), 1U);
  const ObjectInfo info = this->store->head("a/3").value();
  EXPECT_EQ(second.objects[0].key, info.key);
  EXPECT_EQ(second.objects[0].bytes, info.bytes);
  EXPECT_EQ(second.objects[0].etag, info.etag);
  EXPECT_EQ(second.objects[0].modified, info.modified);
  EXPECT_TRUE(this->store->list("a/", "a/3", 1).value().objects.empty());
}

TYPED_TEST_P(ObjectsContract, AThousandAndOneObjectsComeInPagesOfAThousandAtMost) {
  std::vector<std::string> expected;
  for (int i = 0; i < 1001; ++i) {
    expected.push_back("day/" + std::to_string(10'000 + i * 7919 % 1001));
    ASSERT_TRUE(this->store->put(expected.back(), "x", {}).ok());
  }
  std::sort(expected.begin(), expected.end());
  const Listing most = this->store->list("day/", "", SIZE_MAX).value();
  EXPECT_EQ(most.objects.size(), kPageObjectsMax);
  EXPECT_FALSE(most.complete);
  std::vector<std::string> paged;
  for (bool complete = false; !complete;) {
    const Listing page = this->store->list("day/", paged.empty() ? "" : paged.back(), 91).value();
    ASSERT_FALSE(page.objects.empty());
    for (const Listed& listed : page.objects)
      paged.push_back(listed.key);
    complete = page.complete;
  }
  EXPECT_EQ(paged, expected);
}

REGISTER_TYPED_TEST_SUITE_P(ObjectsContract, AMissingObjectIsNotFoundAndRemovingItIsFine,
                            AnObjectComesBackAsItWasPutAndSurvivesReopening,
                            AnEmptyObjectIsAnObject, ReadsAnyRangeAndStopsAtTheEnd,
                            AnUploadInPiecesIsInvisibleUntilItIsCommitted,
                            AnUploadDestroyedBeforeItsCommitLeavesNothing,
                            AReplacementChangesEverythingAndAnOpenObjectStaysAsItWas,
                            ConditionsAreDecidedAtTheCommit, ARemovedObjectIsGoneAndItsKeyFree,
                            HostileKeysStayApart, RefusesWhatIsNoKeyAndNoOption,
                            ASmallObjectsLimitIsInclusiveAsAreItsMetadatas,
                            ListsByPrefixInOrderAndInPages,
                            AThousandAndOneObjectsComeInPagesOfAThousandAtMost);

}  // namespace weir::objects
