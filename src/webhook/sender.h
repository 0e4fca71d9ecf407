#pragma once
// Posts one JSON body to a URL that an operator chose, and says what came of it.
//
// What may be connected to is decided on the address of the socket about to be opened, after the
// name was looked up: a name that leads to a private address, now or at its next look-up, gets no
// further (address.h). Nothing leads around that: redirects are not followed, proxies of the
// environment not used, and only http and https spoken. Certificates are checked against the
// system's store.

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "alerts/watch.h"
#include "config/webhook.h"

namespace weir::webhook {

struct Delivery {
  alerts::Sent sent = alerts::Sent::unreachable;
  int status = 0;  // Of the last answer; 0: there was none.
  int tries = 0;
  // What happened, for people: "answered 200", "answered 500: … (3 tries)",
  // "127.0.0.1 is a loopback address; alerts.webhook.allow_private = true allows it". One line,
  // without control characters, and nothing of the URL beyond its server.
  std::string text;
};

struct SenderOptions {
  // Waits so long, or shorter when the cancelled flag of the send() is raised; absent: really.
  std::function<void(std::chrono::milliseconds)> pause;
};

// Ownership: owns its handles of libcurl, which is loaded for the first message; where that fails,
//   nothing is reachable, and the text says why.
// Threading: one thread at a time.
// Limits: up to kTriesMax tries; kAnswerBytesMax bytes of an answer are read. A send() blocks for
//   at most kTriesMax times the timeout and the pauses between tries, 3 s; or some 0.1 s after it
//   was cancelled.
class Sender {
 public:
  static constexpr int kTriesMax = 3;
  static constexpr std::chrono::milliseconds kPauseFirst{1000};  // Doubled before a third try.
  static constexpr size_t kAnswerBytesMax = size_t{64} * 1024;
  static constexpr size_t kTextBytesMax = 300;

  explicit Sender(SenderOptions options = {});
  ~Sender();
  Sender(const Sender&) = delete;
  Sender& operator=(const Sender&) = delete;

  // Tries again, in this call, where the connection fails or the answer is 429 or 5xx; not where it
  // timed out, because the message may have arrived. Requires a good URL (check_webhook_url()).
  Delivery send(const config::Webhook& webhook, const std::string& body,
                const std::atomic<bool>& cancelled);

 private:
  struct Try;
  class Handles;

  void run(Try& attempt, const std::atomic<bool>& cancelled);
  void say(Try& attempt) const;
  bool pause(std::chrono::milliseconds wait, const std::atomic<bool>& cancelled);

  const SenderOptions options_;
  std::unique_ptr<Handles> handles_;  // None before the first message.
};

}  // namespace weir::webhook
