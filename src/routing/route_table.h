#pragma once
// Which route a request takes: the enabled routes of one configuration, ready to be searched.
//
// A route matches when its hosts, methods, headers and pattern all do; an empty list matches any.
// Of those that match, the winner has the lowest priority number, then the more exact host (exact,
// `*.suffix`, none), then the longer literal prefix, then the smaller id. There is no cache of
// paths and nothing to refresh: a changed configuration is a new table, and whoever holds the old
// one finishes with it.
//
// How: a trie of segments for each host that some route names, one for `*.suffix` hosts each, and
// one for routes without hosts. Every route has one rank per kind of host, so the best of three
// tries is a comparison of numbers, and branches that cannot beat the best so far are not entered.
// All edges are in one open-addressing hash table.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_annotations.h"
#include "config/config.h"
#include "config/redirect.h"

namespace weir::routing {

// One enabled or disabled route of the configuration, with what is worked out once.
struct Route {
  const config::Route* config = nullptr;  // Inside the table's configuration.
  uint32_t index = 0;                     // In Config::routes.
  std::string literal_prefix;  // Of the pattern: what strip_prefix and rewrite take away.
  std::vector<config::LocationPart> location;  // Of the redirect; empty without one.

  std::string_view id() const { return config->id; }
};

// The headers of a request, as far as routing asks about them.
// Threading: one thread at a time.
class HeaderLookup {
 public:
  virtual ~HeaderLookup() = default;
  // True if a field of this name (case ignored) is there and, unless `value` is "*", one of the
  // fields of this name has exactly this value.
  virtual bool has(std::string_view name, std::string_view value) const = 0;
};

// A request without headers, for previews.
// Threading: any thread.
class NoHeaders final : public HeaderLookup {
 public:
  bool has(std::string_view /*name*/, std::string_view /*value*/) const override { return false; }
};

struct Request {
  std::string_view host;    // Without port, any case, brackets around IPv6; may be empty.
  std::string_view method;  // As sent.
  std::string_view path;    // Normalised, without query. One that lacks the '/' matches nothing.
  const HeaderLookup& headers;
};

// Ownership: shares the configuration; its routes live as long as the table.
// Threading: immutable after construction.
// Limits: those of config::validate(); match() visits at most the pattern segments that agree with
//   the path, keeps its state on the stack (about 1.3 KiB) and never allocates.
class RouteTable {
 public:
  // Requires that validate(*config) finds nothing.
  explicit RouteTable(std::shared_ptr<const config::Config> config);
  RouteTable(const RouteTable&) = delete;
  RouteTable& operator=(const RouteTable&) = delete;

  // The route, or nullptr. Never blocks.
  const Route* match(const Request& request) const WEIR_LIFETIMEBOUND;

  // All routes in the order of the configuration, disabled ones too.
  std::span<const Route> routes() const WEIR_LIFETIMEBOUND { return routes_; }
  const Route* find(std::string_view id) const WEIR_LIFETIMEBOUND;
  const config::Config& config() const WEIR_LIFETIMEBOUND { return *config_; }

 private:
  class Builder;
  class Search;
  friend class Builder;

  static constexpr uint32_t kNone = UINT32_MAX;

  // The namespaces of edges that are not inside a trie, and the trie of routes without hosts.
  static constexpr uint32_t kExactHosts = 0;
  static constexpr uint32_t kSuffixHosts = 1;
  static constexpr uint32_t kAnyHost = 2;

  // A route that ends at a node, with the conditions beyond host and path.
  struct Candidate {
    uint32_t rank;  // Smaller wins. Unique for each route and kind of host.
    uint32_t route;
    uint64_t methods;  // One bit for each of `methods_`; all bits: any.
    bool has_headers;
  };

  // Candidates are in `candidates_`, sorted by rank.
  struct Node {
    uint32_t rank_min = kNone;   // Of everything at and below this node.
    uint32_t any_child = kNone;  // `*`
    uint32_t exact_begin = 0;    // The path ends here.
    uint32_t exact_end = 0;
    uint32_t rest_begin = 0;  // The path goes on below.
    uint32_t rest_end = 0;
    bool has_children = false;  // Literal ones, in `edges_`.
  };

  struct Edge {
    uint32_t hash = 0;
    uint32_t from = kNone;  // kNone: free.
    uint32_t to = kNone;
    uint32_t text_begin = 0;
    uint32_t text_bytes = 0;
  };

  static uint32_t hash(uint32_t from, std::string_view text);
  uint32_t child(uint32_t from, std::string_view text) const;
  uint64_t method_bit(std::string_view method) const;

  std::shared_ptr<const config::Config> config_;
  std::vector<Route> routes_;
  std::vector<std::string> methods_;  // Named by some route; at most 63.
  std::vector<Node> nodes_;
  std::vector<Candidate> candidates_;
  std::vector<Edge> edges_;       // A power of two, at most half full.
  std::string texts_;             // Of the edges.
  size_t segment_bytes_max_ = 0;  // Of the literal segments: a longer one is in no edge.
  bool has_exact_hosts_ = false;
  bool has_suffix_hosts_ = false;
};

}  // namespace weir::routing
