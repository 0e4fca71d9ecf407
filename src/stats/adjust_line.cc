#include "stats/adjust_line.h"

#include <utility>

#include <nlohmann/json.hpp>

#include "codec/iso_time.h"
#include "codec/text.h"
#include "stats/count_columns.h"

namespace weir::stats {
namespace {

using Json = nlohmann::ordered_json;

constexpr base::Error kNoLine{base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never,
                              0, "archived adjustment"};

// Bytes that are no UTF-8 come once more, in base64, as in the lines of events.
void put_text(Json& line, const std::string& name, const std::string& text) {
  line[name] = text.empty() ? Json(nullptr) : Json(text);
  const std::string shown =
      Json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (Json::parse(shown) != Json(text)) line[name + "_bytes"] = codec::base64_encode(text);
}

std::optional<std::string> text_of(const Json& line, const std::string& name) {
  const auto bytes = line.find(name + "_bytes");
  if (bytes != line.end()) {
    if (!bytes->is_string()) return std::nullopt;
    auto decoded = codec::base64_decode(bytes->get<std::string>());
    if (!decoded.ok()) return std::nullopt;
    return std::move(decoded).value();
  }
  const auto found = line.find(name);
  if (found == line.end() || found->is_null()) return std::string{};
  return found->is_string() ? std::optional{found->get<std::string>()} : std::nullopt;
}

std::optional<uint64_t> number_of(const Json& line, std::string_view name) {
  const auto found = line.find(name);
  if (found == line.end() || !found->is_number_unsigned()) return std::nullopt;
  return found->get<uint64_t>();
}

base::Result<std::optional<SketchBytes>> sketch_of(const Json& line) {
  const auto found = line.find("sketch");
  if (found == line.end() || found->is_null()) return std::optional<SketchBytes>{};
  if (!found->is_object()) return kNoLine;
  const auto through = number_of(*found, "through");
  const auto latency = text_of(*found, "latency");
  const auto clients = text_of(*found, "clients");
  if (!through || !latency || !clients) return kNoLine;
  return std::optional{SketchBytes{.through = *through,
                                   .latency = WEIR_TRY(codec::base64_decode(*latency)),
                                   .clients = WEIR_TRY(codec::base64_decode(*clients))}};
}

}  // namespace

void append_line(std::string& out, const Adjustment& adjustment) {
  Json line;
  line["hour"] = codec::hour_bucket(adjustment.hour);
  put_text(line, "path", adjustment.path);
  put_text(line, "route", adjustment.route);
  line["first_seq"] = adjustment.first_seq;
  line["partial"] = adjustment.partial ? 1U : 0U;
  const CountValues values = values_of(adjustment.counts);
  for (size_t i = 0; i < values.size(); ++i) {
    line[std::string{kCountNames[i]}] = values[i] ? Json(*values[i]) : Json(nullptr);
  }
  line["sketch"] = nullptr;
  if (adjustment.sketch) {
    line["sketch"] = {{"through", adjustment.sketch->through},
                      {"latency", codec::base64_encode(adjustment.sketch->latency)},
                      {"clients", codec::base64_encode(adjustment.sketch->clients)}};
  }
  out += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  out += '\n';
}

base::Result<Adjustment> parse_adjustment(std::string_view text) {
  const Json line = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!line.is_object()) return kNoLine;
  Adjustment adjustment;
  const auto bucket = text_of(line, "hour");
  auto path = text_of(line, "path");
  auto route = text_of(line, "route");
  const auto first_seq = number_of(line, "first_seq");
  const auto partial = number_of(line, "partial");
  if (!bucket || !path || !route || !first_seq || !partial) return kNoLine;
  const base::Result<int64_t> hour = codec::parse_hour_bucket(*bucket);
  if (!hour.ok()) return kNoLine;
  adjustment.hour = hour.value();
  adjustment.path = std::move(*path);
  adjustment.route = std::move(*route);
  adjustment.first_seq = *first_seq;
  adjustment.partial = *partial != 0;
  CountValues values;
  for (size_t i = 0; i < values.size(); ++i) {
    values[i] = number_of(line, kCountNames[i]);
    if (!values[i] && i < values.size() - 2) return kNoLine;
  }
  adjustment.counts = counts_of(values);
  adjustment.sketch = WEIR_TRY(sketch_of(line));
  return adjustment;
}

}  // namespace weir::stats
