#pragma once
// The templates of paths, remembered where finding them is dear.
//
// The built-in rules judge a path in less time than a look-up in a table larger than the
// processor's caches takes, so only paths under rules of the operator, which RE2 judges, are
// remembered.

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codec/path_template.h"

namespace weir::pipeline {

// Ownership: shares the templates.
// Threading: the consumer thread.
// Limits: kPlaces paths of up to kBytesMax bytes with their templates: 8 MiB at most. Each path has
//   one place, by its hash; the newest keeps it. Longer ones are judged each time.
class TemplateCache {
 public:
  static constexpr size_t kPlaces = 8192;
  static constexpr size_t kBytesMax = 448;  // A path and its template together.

  // Null: every path is its own template.
  void use(std::shared_ptr<const codec::PathTemplates> templates) {
    templates_ = std::move(templates);
    places_.clear();
    places_.shrink_to_fit();
    if (templates_ != nullptr && templates_->has_rules()) places_.resize(kPlaces);
  }

  // The template of `path`: `path` itself (the same bytes in memory) where nothing is replaced,
  // else valid until the next call. `hash` is the path's, by a codec::SeededHash.
  std::string_view of(std::string_view path, uint64_t hash) {
    if (templates_ == nullptr) return path;
    if (places_.empty()) return templates_->of(path, scratch_);
    Place& place = places_[hash % kPlaces];
    if (place.path == path) return place.same ? path : std::string_view{place.chosen};
    const std::string_view chosen = templates_->of(path, scratch_);
    if (path.empty() || path.size() + chosen.size() > kBytesMax) return chosen;
    place.path = path;
    place.same = chosen.data() == path.data();
    place.chosen = place.same ? std::string_view{} : chosen;
    return chosen;
  }

 private:
  struct Place {
    std::string path;  // Empty: free.
    std::string chosen;
    bool same = false;
  };

  std::shared_ptr<const codec::PathTemplates> templates_;
  std::vector<Place> places_;
  std::string scratch_;
};

}  // namespace weir::pipeline
