#include "webhook/sender.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "base/assert.h"
#include "config/ip.h"
#include "webhook/address.h"
#include "webhook/internal/curl.h"
#include "webhook/payload.h"

namespace weir::webhook {
namespace {

using alerts::Sent;
using internal::Curl;
using std::chrono::milliseconds;

constexpr int kLook = 100;  // Milliseconds between two looks at `cancelled`.

std::optional<config::IpAddress> address_of(const curl_sockaddr& to) {
  if (to.family == AF_INET && to.addrlen >= sizeof(sockaddr_in)) {
    sockaddr_in in{};
    std::memcpy(&in, &to.addr, sizeof in);
    return config::IpAddress::from_v4(ntohl(in.sin_addr.s_addr));
  }
  if (to.family == AF_INET6 && to.addrlen >= sizeof(sockaddr_in6)) {
    // The address may be longer than the struct's own member, which stands at its end.
    sockaddr_in6 in{};
    std::memcpy(&in, reinterpret_cast<const char*>(&to) + offsetof(curl_sockaddr, addr), sizeof in);
    config::IpAddress ip;
    std::memcpy(ip.bytes.data(), &in.sin6_addr, ip.bytes.size());
    return ip;
  }
  return std::nullopt;
}

// One line that no byte of it can leave.
std::string plain(std::string_view text, size_t bytes_max) {
  std::string out;
  for (const char c : text.substr(0, bytes_max))
    out += c < 0x20 || c == 0x7f ? ' ' : c;  // Bytes above 0x7e are no ASCII and go, too.
  return out;
}

// The parts of a URL after its server, longest first, that are long enough to be secrets.
std::vector<std::string> secrets_of(std::string_view url) {
  constexpr size_t kSecretBytesMin = 6;
  std::vector<std::string> secrets;
  const size_t server = url.find("://");
  const size_t path = url.find_first_of("/?", server == std::string_view::npos ? 0 : server + 3);
  if (path == std::string_view::npos) return secrets;
  secrets.emplace_back(url.substr(path));
  for (size_t at = path; at < url.size();) {
    const size_t end = std::min(url.find_first_of("/?&=", at), url.size());
    secrets.emplace_back(url.substr(at, end - at));
    at = end + 1;
  }
  std::erase_if(secrets, [](const std::string& text) { return text.size() < kSecretBytesMin; });
  std::stable_sort(secrets.begin(), secrets.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  return secrets;
}

std::string without_secrets(std::string text, std::string_view url) {
  for (const std::string& secret : secrets_of(url)) {
    for (size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 3))
      text.replace(at, secret.size(), "***");
  }
  return text;
}

}  // namespace

// One try: what goes in, what comes out.
struct Sender::Try {
  const config::Webhook& webhook;
  const std::string& body;
  std::string answer;
  std::string refusal;  // Which address was not connected to, and why.
  std::array<char, CURL_ERROR_SIZE> message{};
  CURLcode code = CURLE_OK;
  int status = 0;

  bool answered() const { return status >= 200; }
  // Nothing can have arrived, or the other side asks for it.
  bool is_worth_another() const {
    if (answered()) return status == 429 || status >= 500;
    switch (code) {
      case CURLE_COULDNT_RESOLVE_HOST:
      case CURLE_SEND_ERROR:
      case CURLE_RECV_ERROR:
      case CURLE_GOT_NOTHING:
      case CURLE_SSL_CONNECT_ERROR:
        return true;
      case CURLE_COULDNT_CONNECT:
        return refusal.empty();
      default:
        return false;
    }
  }
  std::string text() const {
    if (answered()) {
      const bool redirects = status >= 300 && status < 400;
      std::string shown = plain(answer, 200);
      return fmt::format("answered {}{}{}{}", status,
                         redirects ? ", and redirects are not followed" : "",
                         shown.empty() ? "" : ": ", shown);
    }
    if (!refusal.empty()) {
      return refusal + "; alerts.webhook.allow_private = true allows it";
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
      return fmt::format("no answer within {} ms", webhook.timeout.count());
    }
    return plain(message.data(), 200);
  }
};

// What is borrowed of libcurl, and what it calls us with.
class Sender::Handles {
 public:
  explicit Handles(const Curl& curl) : curl_(curl) {
    multi_ = curl_.multi_init();
    easy_ = curl_.easy_init();
    headers_ = curl_.slist_append(headers_, "Content-Type: application/json; charset=utf-8");
    headers_ = curl_.slist_append(headers_, "Expect:");
    WEIR_ASSERT(multi_ != nullptr && easy_ != nullptr && headers_ != nullptr);  // Out of memory.
  }
  ~Handles() {
    curl_.easy_cleanup(easy_);
    curl_.multi_cleanup(multi_);
    curl_.slist_free_all(headers_);
  }
  Handles(const Handles&) = delete;
  Handles& operator=(const Handles&) = delete;

  const Curl& curl() const { return curl_; }
  CURL* easy() const { return easy_; }
  CURLM* multi() const { return multi_; }

  // Sets everything anew, for nothing of one message may be left for the next. Not CURLE_OK: this
  // library cannot be told all of it (one without TLS, say), and then nothing may be sent.
  CURLcode prepare(Try& attempt) {
    refused_ = CURLE_OK;
    curl_.easy_reset(easy_);
    set(CURLOPT_URL, attempt.webhook.url.c_str());
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_PROXY, "");  // Not the environment's either.
    set(CURLOPT_NOPROXY, "*");
    set(CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_FRESH_CONNECT, 1L);  // Each connection is looked at.
    set(CURLOPT_FORBID_REUSE, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // Else the end of a look-up would be waited for.
    const auto timeout_ms = static_cast<long>(attempt.webhook.timeout.count());
    set(CURLOPT_TIMEOUT_MS, timeout_ms);
    set(CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    set(CURLOPT_USERAGENT, "weir");
    set(CURLOPT_HTTPHEADER, headers_);
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(attempt.body.size()));
    set(CURLOPT_POSTFIELDS, attempt.body.c_str());
    set(CURLOPT_ERRORBUFFER, attempt.message.data());
    set(CURLOPT_WRITEFUNCTION, &Handles::take_answer);
    set(CURLOPT_WRITEDATA, &attempt);
    set(CURLOPT_OPENSOCKETFUNCTION, &Handles::open_socket);
    set(CURLOPT_OPENSOCKETDATA, &attempt);
    return refused_;
  }

 private:
  template <typename Value>
  void set(CURLoption option, Value value) {
    const CURLcode code = curl_.easy_setopt(easy_, option, value);
    if (refused_ == CURLE_OK) refused_ = code;
  }

  // Less than what it was given ends the transfer: enough was read.
  static size_t take_answer(char* bytes, size_t /*one*/, size_t count, void* attempt) {
    std::string& answer = static_cast<Try*>(attempt)->answer;
    const size_t room = kAnswerBytesMax - answer.size();
    answer.append(bytes, std::min(count, room));
    return std::min(count, room);
  }

  static curl_socket_t open_socket(void* data, curlsocktype /*purpose*/, curl_sockaddr* to) {
    Try& attempt = *static_cast<Try*>(data);
    if (!attempt.webhook.allow_private) {
      const std::optional<config::IpAddress> ip = address_of(*to);
      const std::string_view is = ip ? not_public(*ip) : "no address of the internet";
      if (!is.empty()) {
        attempt.refusal = fmt::format("{} is {}", ip ? to_string(*ip) : "it", is);
        return CURL_SOCKET_BAD;
      }
    }
    return ::socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
  }

  const Curl curl_;
  CURLM* multi_ = nullptr;
  CURL* easy_ = nullptr;
  curl_slist* headers_ = nullptr;
  CURLcode refused_ = CURLE_OK;  // The first option that was, while preparing.
};

Sender::Sender(SenderOptions options) : options_(std::move(options)) {}
Sender::~Sender() = default;

void Sender::run(Try& attempt, const std::atomic<bool>& cancelled) {
  const Curl& curl = handles_->curl();
  CURL* const easy = handles_->easy();
  CURLM* const multi = handles_->multi();
  attempt.code = handles_->prepare(attempt);
  if (attempt.code != CURLE_OK) return say(attempt);
  WEIR_ASSERT(curl.multi_add_handle(multi, easy) == CURLM_OK);
  attempt.code = CURLE_ABORTED_BY_CALLBACK;
  while (!cancelled) {
    int running = 0;
    if (curl.multi_perform(multi, &running) != CURLM_OK) break;
    if (running == 0) {
      int left = 0;
      const CURLMsg* const message = curl.multi_info_read(multi, &left);
      if (message != nullptr) attempt.code = message->data.result;
      break;
    }
    if (curl.multi_poll(multi, nullptr, 0, kLook, nullptr) != CURLM_OK) break;
  }
  long status = 0;
  curl.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
  attempt.status = static_cast<int>(status);
  say(attempt);
  curl.multi_remove_handle(multi, easy);
}

// What libcurl calls it, where it has said nothing itself.
void Sender::say(Try& attempt) const {
  if (attempt.message[0] != '\0') return;
  const char* const said = handles_->curl().easy_strerror(attempt.code);
  std::strncpy(attempt.message.data(), said, attempt.message.size() - 1);
}

// False: cancelled.
bool Sender::pause(milliseconds wait, const std::atomic<bool>& cancelled) {
  if (options_.pause) {
    options_.pause(wait);
    return !cancelled;
  }
  for (milliseconds waited{0}; waited < wait && !cancelled; waited += milliseconds{kLook})
    handles_->curl().multi_poll(handles_->multi(), nullptr, 0, kLook, nullptr);
  return !cancelled;
}

Delivery Sender::send(const config::Webhook& webhook, const std::string& body,
                      const std::atomic<bool>& cancelled) {
  Delivery delivery;
  if (handles_ == nullptr) {
    const std::optional<Curl> curl = internal::load_curl(delivery.text);
    if (!curl) return delivery;
    handles_ = std::make_unique<Handles>(*curl);
  }
  milliseconds wait = kPauseFirst;
  for (;;) {
    Try attempt{.webhook = webhook, .body = body};
    run(attempt, cancelled);
    ++delivery.tries;
    delivery.status = attempt.answered() ? attempt.status : 0;
    delivery.text = without_secrets(attempt.text(), webhook.url).substr(0, kTextBytesMax);
    if (attempt.answered()) {
      const bool success = is_success(webhook.format, attempt.status, attempt.answer);
      delivery.sent = success ? Sent::delivered : Sent::refused;
      if (success) break;
    } else if (cancelled) {
      delivery.text = "given up: the job was cancelled, or the process ends";
      return delivery;
    }
    if (!attempt.is_worth_another() || delivery.tries == kTriesMax || !pause(wait, cancelled))
      break;
    wait *= 2;
  }
  if (delivery.tries > 1) delivery.text += fmt::format(" ({} tries)", delivery.tries);
  return delivery;
}

}  // namespace weir::webhook
