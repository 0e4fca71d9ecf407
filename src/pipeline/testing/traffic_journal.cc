#include "pipeline/testing/traffic_journal.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/random.h"

namespace weir::pipeline::testing {

TrafficJournal::TrafficJournal(const TrafficShape& shape) : shape_(shape) {
  if (!shape_.kept) return;
  for (uint64_t i = 0; i < shape_.events; ++i) {
    append_event(shape_, i, bytes_);
    ends_.push_back(bytes_.size());
  }
}

void TrafficJournal::append_event(const TrafficShape& shape, uint64_t i, std::string& bytes) {
  base::Random random{i + 1};
  const uint64_t drawn = std::min(random.below(shape.paths), random.below(shape.paths));
  const uint64_t rank = shape.distinct ? i % shape.paths : drawn * drawn / shape.paths;
  const uint64_t client = shape.distinct ? i % shape.clients : random.below(shape.clients);
  const std::string path = fmt::format("/api/v1/things/thing-{}x", rank);
  const std::string agent = fmt::format(
      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0",
      random.below(200));
  const std::string address =
      fmt::format("10.{}.{}.{}", client >> 16U & 255U, client >> 8U & 255U, client & 255U);
  traffic::Event event;
  event.arrival_us = shape.start_us + static_cast<int64_t>(i) * shape.spacing_us;
  event.id.unix_ms = static_cast<uint64_t>(event.arrival_us / 1000);
  for (size_t byte = 0; byte < 8; ++byte)
    event.id.tail[2 + byte] = static_cast<uint8_t>(i >> (8 * (7 - byte)));
  event.path = path;
  event.method = random.below(10) == 0 ? "POST" : "GET";
  event.user_agent = agent;
  event.route_id = "things";
  event.client_ip = address;
  event.client_hash = (client + 1) * 0x9e3779b97f4a7c15U;
  event.duration_us = 500 + random.below(50'000);
  event.upstream_us = event.duration_us - 100;
  event.bytes_in = 200 + random.below(300);
  event.bytes_out = 500 + random.below(5000);
  event.status = random.below(50) == 0 ? 502 : 200;
  event.attempts = 1;
  std::array<char, traffic::kEventBytesMax> encoded{};
  bytes.append(encoded.data(), traffic::encode(event, encoded));
}

base::Result<journal::Read> TrafficJournal::read(journal::Stream /*stream*/, uint64_t from,
                                                 size_t records_max) {
  journal::Read read{.records = {}, .next = from};
  const uint64_t end = std::min<uint64_t>(shape_.events, from - 1 + records_max);
  const uint64_t first = shape_.kept ? 0 : from - 1;  // The event that ends_ begins with.
  if (!shape_.kept) {
    bytes_.clear();
    ends_.clear();
    for (uint64_t i = first; i < end; ++i) {
      append_event(shape_, i, bytes_);
      ends_.push_back(bytes_.size());
    }
  }
  for (uint64_t i = from - 1; i < end; ++i) {
    const uint64_t begin = i == first ? 0 : ends_[i - first - 1];
    read.records.push_back(
        {i + 1, std::string_view{bytes_}.substr(begin, ends_[i - first] - begin)});
  }
  read.next = std::max(from, end + 1);
  read.at_end = read.next > shape_.events;
  return read;
}

}  // namespace weir::pipeline::testing
