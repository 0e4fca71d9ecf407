#include "http/writer.h"

#include <algorithm>
#include <charconv>

#include "base/assert.h"
#include "http/internal/bytes.h"

namespace weir::http {
namespace {

constexpr size_t kDecimalDigitsMax = 20;
constexpr size_t kHexDigitsMax = 16;

struct Reason {
  int status;
  std::string_view phrase;
};

// Source: RFC 9110 section 15, RFC 6585, RFC 7725, RFC 8297, RFC 8470, RFC 4918, RFC 5842, RFC
// 2295. Sorted by status.
constexpr auto kReasons = std::to_array<Reason>({
    {100, "Continue"},
    {101, "Switching Protocols"},
    {102, "Processing"},
    {103, "Early Hints"},
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {203, "Non-Authoritative Information"},
    {204, "No Content"},
    {205, "Reset Content"},
    {206, "Partial Content"},
    {207, "Multi-Status"},
    {208, "Already Reported"},
    {226, "IM Used"},
    {300, "Multiple Choices"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {305, "Use Proxy"},
    {307, "Temporary Redirect"},
    {308, "Permanent Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {402, "Payment Required"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {407, "Proxy Authentication Required"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {410, "Gone"},
    {411, "Length Required"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {415, "Unsupported Media Type"},
    {416, "Range Not Satisfiable"},
    {417, "Expectation Failed"},
    {421, "Misdirected Request"},
    {422, "Unprocessable Content"},
    {423, "Locked"},
    {424, "Failed Dependency"},
    {425, "Too Early"},
    {426, "Upgrade Required"},
    {428, "Precondition Required"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {451, "Unavailable For Legal Reasons"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
    {505, "HTTP Version Not Supported"},
    {506, "Variant Also Negotiates"},
    {507, "Insufficient Storage"},
    {508, "Loop Detected"},
    {511, "Network Authentication Required"},
});

constexpr bool by_status(const Reason& a, const Reason& b) {
  return a.status < b.status;
}
static_assert(std::is_sorted(kReasons.begin(), kReasons.end(), by_status));

void put_two(char* out, unsigned number) {
  out[0] = static_cast<char>('0' + number / 10 % 10);
  out[1] = static_cast<char>('0' + number % 10);
}

void put_text(char* out, std::string_view text) {
  std::memcpy(out, text.data(), text.size());
}

}  // namespace

void Appender::append_decimal(uint64_t number) {
  std::array<char, kDecimalDigitsMax> digits{};
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  append({digits.data(), static_cast<size_t>(end - digits.data())});
}

void Appender::append_hex(uint64_t number) {
  std::array<char, kHexDigitsMax> digits{};
  const char* const end =
      std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr;
  append({digits.data(), static_cast<size_t>(end - digits.data())});
}

std::string_view reason_phrase(int status) {
  const auto* const found =
      std::lower_bound(kReasons.begin(), kReasons.end(), Reason{status, {}}, by_status);
  return found != kReasons.end() && found->status == status ? found->phrase : std::string_view{};
}

void append_status_line(Appender& out, int status, std::string_view reason) {
  if (status < 100 || status > 999 || !is_field_value(reason)) return out.fail();
  if (reason.empty()) reason = reason_phrase(status);
  std::array<char, 3> digits;
  digits[0] = static_cast<char>('0' + status / 100);
  put_two(&digits[1], static_cast<unsigned>(status));
  out.append_all("HTTP/1.1 ", std::string_view{digits.data(), digits.size()}, " ", reason, "\r\n");
}

void append_request_line(Appender& out, std::string_view method, std::string_view target) {
  const bool valid = is_token(method) && !target.empty() &&
                     std::all_of(target.begin(), target.end(),
                                 [](char byte) { return internal::is(byte, internal::kTarget); });
  if (!valid) return out.fail();
  out.append_all(method, " ", target, " HTTP/1.1\r\n");
}

void append_field(Appender& out, std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return out.fail();
  append_parsed_field(out, {name, value});
}

void append_field(Appender& out, FieldName name, std::string_view value) {
  WEIR_ASSERT(name != FieldName::other);
  if (!is_field_value(value)) return out.fail();
  append_parsed_field(out, {text(name), value});
}

void append_field(Appender& out, FieldName name, uint64_t value) {
  WEIR_ASSERT(name != FieldName::other);
  std::array<char, kDecimalDigitsMax> digits{};
  const char* const end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  append_parsed_field(out, {text(name), {digits.data(), static_cast<size_t>(end - digits.data())}});
}

void append_chunk_header(Appender& out, uint64_t body_bytes) {
  WEIR_ASSERT(body_bytes > 0);
  std::array<char, kChunkHeaderBytesMax> line{};
  char* const end = std::to_chars(line.data(), line.data() + kHexDigitsMax, body_bytes, 16).ptr;
  put_text(end, "\r\n");
  out.append({line.data(), static_cast<size_t>(end + 2 - line.data())});
}

void append_last_chunk(Appender& out, Fields trailers) {
  out.append("0\r\n");
  for (const Field& field : trailers)
    append_parsed_field(out, field);
  out.append("\r\n");
}

void format_date(base::Wall time, std::span<char, kDateBytes> out) {
  constexpr std::string_view kDays = "SunMonTueWedThuFriSat";
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const auto days = std::chrono::floor<std::chrono::days>(seconds);
  const std::chrono::year_month_day date{days};
  const std::chrono::hh_mm_ss clock{seconds - days};
  const unsigned weekday = std::chrono::weekday{days}.c_encoding();
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  const auto month = static_cast<unsigned>(date.month());

  char* const text = out.data();
  put_text(text, "Sun, 06 Nov 1994 08:49:37 GMT");
  put_text(text, kDays.substr(size_t{weekday} * 3, 3));
  put_two(text + 5, static_cast<unsigned>(date.day()));
  put_text(text + 8, kMonths.substr((size_t{month} - 1) * 3, 3));
  put_two(text + 12, year / 100);
  put_two(text + 14, year);
  put_two(text + 17, static_cast<unsigned>(clock.hours().count()));
  put_two(text + 20, static_cast<unsigned>(clock.minutes().count()));
  put_two(text + 23, static_cast<unsigned>(clock.seconds().count()));
}

std::string_view DateCache::at(base::Wall now) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  if (second != second_) {
    format_date(now, text_);
    second_ = second;
  }
  return {text_.data(), text_.size()};
}

}  // namespace weir::http
