#include "routing/route_table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "base/assert.h"
#include "config/pattern.h"

namespace weir::routing {
namespace {

constexpr uint64_t kAnyMethod = ~uint64_t{0};
constexpr uint64_t kUnnamedMethod = uint64_t{1} << 63U;  // In no route's list.
constexpr size_t kHostBytesMax = 255;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

uint64_t load(const char* bytes, size_t count) {
  uint64_t value = 0;
  std::memcpy(&value, bytes, count);
  return value;
}

uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64U);
}

// Exact host, `*.suffix`, or none: the order in which they win.
enum class HostKind : uint8_t { exact, suffix, any };

bool is_suffix_host(std::string_view host) {
  return host.starts_with("*.");
}

}  // namespace

// The keys are the operator's and only look-ups the clients', so no seed is needed: a client can at
// most find the longest run of occupied slots.
uint32_t RouteTable::hash(uint32_t from, std::string_view text) {
  constexpr uint64_t kFirst = 0x9e3779b97f4a7c15U;
  constexpr uint64_t kSecond = 0xe7037ed1a0b428dbU;
  uint64_t state = mix(from ^ kFirst, text.size() ^ kSecond);
  const char* at = text.data();
  size_t left = text.size();
  for (; left > 8; at += 8, left -= 8)
    state = mix(state ^ load(at, 8), kFirst);
  if (left > 0) state = mix(state ^ load(at, left), kSecond);
  return static_cast<uint32_t>(state ^ (state >> 32U));
}

uint32_t RouteTable::child(uint32_t from, std::string_view text) const {
  const uint32_t wanted = hash(from, text);
  const size_t mask = edges_.size() - 1;
  for (size_t slot = wanted & mask; edges_[slot].from != kNone; slot = (slot + 1) & mask) {
    const Edge& edge = edges_[slot];
    if (edge.hash == wanted && edge.from == from && edge.text_bytes == text.size() &&
        std::memcmp(texts_.data() + edge.text_begin, text.data(), text.size()) == 0) {
      return edge.to;
    }
  }
  return kNone;
}

uint64_t RouteTable::method_bit(std::string_view method) const {
  for (size_t index = 0; index < methods_.size(); ++index) {
    if (methods_[index] == method) return uint64_t{1} << index;
  }
  return kUnnamedMethod;
}

// Makes the tables out of the routes, once.
class RouteTable::Builder {
 public:
  explicit Builder(RouteTable& table) : table_(table) { table_.nodes_.resize(kAnyHost + 1); }

  void run() {
    for (const Route& route : table_.routes_) {
      if (route.config->enabled) collect(route);
    }
    std::sort(entries_.begin(), entries_.end(),
              [](const Entry& a, const Entry& b) { return a.order() < b.order(); });
    for (uint32_t rank = 0; rank < entries_.size(); ++rank)
      insert(entries_[rank], rank);
    flatten();
    hash_edges();
  }

 private:
  // A route under one kind of host.
  struct Entry {
    const Route* route;
    HostKind kind;

    std::tuple<int32_t, HostKind, int64_t, std::string_view> order() const {
      return {route->config->priority, kind, -static_cast<int64_t>(route->literal_prefix.size()),
              route->id()};
    }
  };

  struct Ends {
    std::vector<Candidate> exact;
    std::vector<Candidate> rest;
  };

  void collect(const Route& route) {
    const std::vector<std::string>& hosts = route.config->hosts;
    if (hosts.empty()) entries_.push_back({&route, HostKind::any});
    const auto has = [&](bool suffix) {
      return std::any_of(hosts.begin(), hosts.end(),
                         [&](const std::string& host) { return is_suffix_host(host) == suffix; });
    };
    if (has(false)) entries_.push_back({&route, HostKind::exact});
    if (has(true)) entries_.push_back({&route, HostKind::suffix});
  }

  void insert(const Entry& entry, uint32_t rank) {
    const base::Result<config::Pattern> parsed =
        config::parse_pattern(entry.route->config->pattern);
    WEIR_ASSERT(parsed.ok());  // validate() found nothing.
    const config::Pattern& pattern = parsed.value();
    if (entry.kind == HostKind::any) return insert_below(kAnyHost, pattern, entry, rank);
    for (const std::string& host : entry.route->config->hosts) {
      if (is_suffix_host(host) != (entry.kind == HostKind::suffix)) continue;
      const uint32_t root = entry.kind == HostKind::suffix
                                ? literal_child(kSuffixHosts, host.substr(2))
                                : literal_child(kExactHosts, host);
      insert_below(root, pattern, entry, rank);
    }
  }

  void insert_below(uint32_t node, const config::Pattern& pattern, const Entry& entry,
                    uint32_t rank) {
    note_rank(node, rank);
    for (const config::Pattern::Segment& segment : pattern.segments) {
      node = segment.any ? any_child(node) : literal_child(node, segment.text);
      if (!segment.any) {
        table_.segment_bytes_max_ = std::max(table_.segment_bytes_max_, segment.text.size());
      }
      note_rank(node, rank);
    }
    Ends& ends = ends_[node];
    (pattern.rest ? ends.rest : ends.exact)
        .push_back({rank, entry.route->index, method_mask(*entry.route->config),
                    !entry.route->config->headers.empty()});
  }

  void note_rank(uint32_t node, uint32_t rank) {
    uint32_t& rank_min = table_.nodes_[node].rank_min;
    rank_min = std::min(rank_min, rank);
  }

  uint32_t new_node() {
    table_.nodes_.emplace_back();
    return static_cast<uint32_t>(table_.nodes_.size() - 1);
  }

  uint32_t any_child(uint32_t node) {
    if (table_.nodes_[node].any_child == kNone) {
      const uint32_t created = new_node();
      table_.nodes_[node].any_child = created;
    }
    return table_.nodes_[node].any_child;
  }

  uint32_t literal_child(uint32_t node, std::string_view text) {
    table_.nodes_[node].has_children = true;
    const auto [found, is_new] = edges_.try_emplace({node, std::string{text}}, 0);
    if (is_new) found->second = new_node();
    return found->second;
  }

  // More distinct methods than bits: the bit of unnamed ones stands for the rest, and match()
  // compares their names.
  uint64_t method_mask(const config::Route& route) {
    if (route.methods.empty()) return kAnyMethod;
    uint64_t mask = 0;
    for (const std::string& method : route.methods) {
      if (table_.method_bit(method) == kUnnamedMethod && table_.methods_.size() < 63) {
        table_.methods_.push_back(method);
      }
      mask |= table_.method_bit(method);
    }
    return mask;
  }

  // Entries were inserted by rank, so each list is sorted.
  void flatten() {
    for (const auto& [index, ends] : ends_) {
      Node& node = table_.nodes_[index];
      node.exact_begin = append(ends.exact);
      node.exact_end = static_cast<uint32_t>(table_.candidates_.size());
      node.rest_begin = append(ends.rest);
      node.rest_end = static_cast<uint32_t>(table_.candidates_.size());
    }
  }

  uint32_t append(const std::vector<Candidate>& candidates) {
    const auto begin = static_cast<uint32_t>(table_.candidates_.size());
    table_.candidates_.insert(table_.candidates_.end(), candidates.begin(), candidates.end());
    return begin;
  }

  void hash_edges() {
    table_.edges_.resize(std::bit_ceil(2 * edges_.size() + 2));
    const size_t mask = table_.edges_.size() - 1;
    for (const auto& [key, to] : edges_) {
      const auto& [from, text] = key;
      const uint32_t hash_value = hash(from, text);
      size_t slot = hash_value & mask;
      while (table_.edges_[slot].from != kNone)
        slot = (slot + 1) & mask;
      table_.edges_[slot] = {hash_value, from, to, static_cast<uint32_t>(table_.texts_.size()),
                             static_cast<uint32_t>(text.size())};
      table_.texts_ += text;
    }
    table_.has_exact_hosts_ = table_.nodes_[kExactHosts].has_children;
    table_.has_suffix_hosts_ = table_.nodes_[kSuffixHosts].has_children;
  }

  RouteTable& table_;
  std::vector<Entry> entries_;
  std::map<uint32_t, Ends> ends_;
  std::map<std::pair<uint32_t, std::string>, uint32_t> edges_;
};

// One search: the best candidate so far and where else to look.
class RouteTable::Search {
 public:
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): clearing the stack costs more than it.
  Search(const RouteTable& table, const Request& request)
      : table_(table), request_(request), method_(table.method_bit(request.method)) {}

  // Looks through the trie at `root`. At each node at most two branches open, and one of them is
  // followed at once, so the stack grows by one frame per segment.
  void walk(uint32_t root) {
    const std::string_view path = request_.path;
    size_t depth = 0;
    stack_[depth++] = {root, 0};
    while (depth > 0) {
      const Frame frame = stack_[--depth];
      const Node& node = table_.nodes_[frame.node];
      if (node.rank_min >= best_rank_) continue;
      if (frame.at == path.size()) {
        consider(node.exact_begin, node.exact_end);
        continue;
      }
      consider(node.rest_begin, node.rest_end);
      if (!node.has_children && node.any_child == kNone) continue;
      const std::string_view rest = path.substr(frame.at + 1);
      const std::string_view segment = rest.substr(0, rest.find('/'));
      const auto next = static_cast<uint32_t>(frame.at + 1 + segment.size());
      if (node.any_child != kNone && !segment.empty()) stack_[depth++] = {node.any_child, next};
      if (node.has_children && segment.size() <= table_.segment_bytes_max_) {
        const uint32_t child = table_.child(frame.node, segment);
        if (child != kNone) stack_[depth++] = {child, next};
      }
    }
  }

  // The tries of the hosts that `host` (lower case) is or lies below.
  void walk_hosts(std::string_view host) {
    if (table_.has_exact_hosts_) {
      const uint32_t root = table_.child(kExactHosts, host);
      if (root != kNone) walk(root);
    }
    if (!table_.has_suffix_hosts_) return;
    for (size_t dot = host.find('.'); dot != std::string_view::npos && dot > 0;
         dot = host.find('.', dot + 1)) {
      const uint32_t root = table_.child(kSuffixHosts, host.substr(dot + 1));
      if (root != kNone) walk(root);
    }
  }

  const Route* best() const {
    return best_route_ == kNone ? nullptr : &table_.routes_[best_route_];
  }

 private:
  struct Frame {
    uint32_t node;
    uint32_t at;  // Of the next segment's '/', or the path's end.
  };

  void consider(uint32_t begin, uint32_t end) {
    for (uint32_t index = begin; index < end; ++index) {
      const Candidate& candidate = table_.candidates_[index];
      if (candidate.rank >= best_rank_) return;
      if (!allows(candidate)) continue;
      best_rank_ = candidate.rank;
      best_route_ = candidate.route;
      return;
    }
  }

  bool allows(const Candidate& candidate) const {
    if ((candidate.methods & method_) == 0) return false;
    const config::Route& route = *table_.routes_[candidate.route].config;
    if (method_ == kUnnamedMethod && candidate.methods != kAnyMethod &&
        std::find(route.methods.begin(), route.methods.end(), request_.method) ==
            route.methods.end()) {
      return false;
    }
    if (!candidate.has_headers) return true;
    return std::all_of(route.headers.begin(), route.headers.end(), [&](const auto& header) {
      return request_.headers.has(header.first, header.second);
    });
  }

  const RouteTable& table_;
  const Request& request_;
  const uint64_t method_;
  uint32_t best_rank_ = kNone;
  uint32_t best_route_ = kNone;
  std::array<Frame, config::kPatternSegmentsMax + 2> stack_;
};

RouteTable::RouteTable(std::shared_ptr<const config::Config> config) : config_(std::move(config)) {
  routes_.reserve(config_->routes.size());
  for (const config::Route& route : config_->routes) {
    base::Result<config::Pattern> pattern = config::parse_pattern(route.pattern);
    WEIR_ASSERT(pattern.ok());  // validate() found nothing.
    Route& compiled = routes_.emplace_back();
    compiled.config = &route;
    compiled.index = static_cast<uint32_t>(routes_.size() - 1);
    compiled.literal_prefix = std::move(pattern).value().literal_prefix;
    if (route.redirect.status != 0) {
      auto location = config::parse_location(route.redirect.location);
      WEIR_ASSERT(location.ok());  // validate() found nothing.
      compiled.location = std::move(location).value();
    }
  }
  Builder{*this}.run();
}

const Route* RouteTable::match(const Request& request) const {
  if (!request.path.starts_with('/')) return nullptr;
  Search search{*this, request};
  std::string_view host = request.host;
  if (host.ends_with('.')) host.remove_suffix(1);  // "example.com." is the same name.
  if ((has_exact_hosts_ || has_suffix_hosts_) && host.size() <= kHostBytesMax) {
    std::array<char, kHostBytesMax> lower_host;  // NOLINT(cppcoreguidelines-pro-type-member-init)
    std::transform(host.begin(), host.end(), lower_host.begin(), lower);
    search.walk_hosts({lower_host.data(), host.size()});
  }
  search.walk(kAnyHost);
  return search.best();
}

const Route* RouteTable::find(std::string_view id) const {
  const auto found =
      std::find_if(routes_.begin(), routes_.end(), [&](const Route& r) { return r.id() == id; });
  return found == routes_.end() ? nullptr : &*found;
}

}  // namespace weir::routing
