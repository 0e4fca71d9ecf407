#include "app/rule_versions.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include <fmt/format.h>

#include "codec/text.h"

namespace weir::app {
namespace {

constexpr std::string_view kPrefix = "rules/";
constexpr std::string_view kSuffix = ".toml";
constexpr base::Error kDamagedVersion{base::ErrorCode::corrupt, base::Origin::storage,
                                      base::Retry::never, 0, "a version of the rules is damaged"};

// Of ten digits, so that they are listed in the order of their numbers.
std::string key_of(uint64_t number) {
  return fmt::format("{}{:010}{}", kPrefix, number, kSuffix);
}

// 0: no version's.
uint64_t number_of(std::string_view key) {
  if (!key.starts_with(kPrefix) || !key.ends_with(kSuffix)) return 0;
  key.remove_prefix(kPrefix.size());
  key.remove_suffix(kSuffix.size());
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
  return error == std::errc{} && end == key.data() + key.size() ? number : 0;
}

// Metadata holds visible ASCII alone; names and comments may be in any language.
base::Result<std::string> text_in(const objects::Metadata& metadata, const std::string& name) {
  const auto found = metadata.find(name);
  if (found == metadata.end()) return kDamagedVersion;
  return codec::base64_decode(found->second);
}

base::Result<RuleVersion> version_of(const objects::ObjectInfo& info) {
  RuleVersion version{.number = number_of(info.key), .at = info.modified};
  version.author = WEIR_TRY(text_in(info.metadata, "author"));
  version.comment = WEIR_TRY(text_in(info.metadata, "comment"));
  return version;
}

}  // namespace

base::Result<RuleVersions> RuleVersions::open(os::Files& files, const base::Clock& clock,
                                              const std::string& data_dir, objects::Access access,
                                              size_t kept) {
  std::unique_ptr<objects::DirectoryStore> store = WEIR_TRY(objects::DirectoryStore::open(
      files, clock, {.directory = data_dir + "/config", .access = access}));
  return RuleVersions{std::move(store), kept};
}

base::Result<std::vector<uint64_t>> RuleVersions::numbers() {
  std::vector<uint64_t> numbers;
  std::string after;
  for (bool complete = false; !complete;) {
    const objects::Listing listing =
        WEIR_TRY(store_->list(kPrefix, after, objects::kPageObjectsMax));
    for (const objects::Listed& listed : listing.objects) {
      after = listed.key;
      if (const uint64_t number = number_of(listed.key); number != 0) numbers.push_back(number);
    }
    complete = listing.complete;
  }
  return numbers;
}

base::Result<uint64_t> RuleVersions::newest_number() {
  const std::vector<uint64_t> known = WEIR_TRY(numbers());
  return known.empty() ? 0 : known.back();
}

base::Result<RuleVersion> RuleVersions::get(uint64_t number) {
  const std::unique_ptr<objects::Object> object = WEIR_TRY(store_->open(key_of(number)));
  RuleVersion version = WEIR_TRY(version_of(object->info()));
  WEIR_TRY(objects::read_object(*object, [&version](std::string_view bytes) {
    version.toml += bytes;
    return base::Status{};
  }));
  return version;
}

base::Result<std::vector<RuleVersion>> RuleVersions::list(size_t count) {
  const std::vector<uint64_t> known = WEIR_TRY(numbers());
  std::vector<RuleVersion> versions;
  for (auto number = known.rbegin(); number != known.rend() && versions.size() < count; ++number) {
    const base::Result<objects::ObjectInfo> info = store_->head(key_of(*number));
    const auto version =
        info.ok() ? version_of(info.value()) : base::Result<RuleVersion>{info.error()};
    if (!version.ok() && version.error().code != base::ErrorCode::corrupt) return version.error();
    versions.push_back(version.ok() ? version.value()
                                    : RuleVersion{.number = *number, .comment = "(damaged)"});
  }
  return versions;
}

base::Result<uint64_t> RuleVersions::add(std::string_view author, std::string_view comment,
                                         std::string_view toml) {
  const std::vector<uint64_t> known = WEIR_TRY(numbers());
  const uint64_t number = known.empty() ? 1 : known.back() + 1;
  const objects::PutOptions options{
      .content_type = "application/toml",
      .metadata = {{"author", codec::base64_encode(author.substr(0, kAuthorBytesMax))},
                   {"comment", codec::base64_encode(comment.substr(0, kCommentBytesMax))}},
      .if_absent = true};
  if (const auto put = store_->put(key_of(number), toml, options); !put.ok()) {
    // It may be there all the same, and would be in force from the next start on.
    if (put.error().code != base::ErrorCode::conflict)
      static_cast<void>(store_->remove(key_of(number)));
    return put.error();
  }
  // What cannot be removed now is by the next version.
  for (size_t i = 0; i + kept_ <= known.size(); ++i)
    static_cast<void>(store_->remove(key_of(known[i])));
  return number;
}

}  // namespace weir::app
