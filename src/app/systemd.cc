#include "app/systemd.h"

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace weir::app {
namespace {

constexpr int kFirstDescriptor = 3;

// Read before any thread is started.
std::string_view environment(const char* name) {
  const char* const value = std::getenv(name);  // NOLINT(concurrency-mt-unsafe)
  return value == nullptr ? std::string_view{} : std::string_view{value};
}

int number(std::string_view text) {
  int result = 0;
  std::from_chars(text.data(), text.data() + text.size(), result);
  return result;
}

}  // namespace

std::map<std::string, os::Fd> inherited_descriptors() {
  std::map<std::string, os::Fd> descriptors;
  // The test of the process id keeps a child of the service from taking its parent's descriptors.
  if (number(environment("LISTEN_PID")) != ::getpid()) return descriptors;
  std::string_view names = environment("LISTEN_FDNAMES");
  for (int i = 0; i < number(environment("LISTEN_FDS")); ++i) {
    const size_t colon = names.find(':');
    std::string name{names.substr(0, colon)};
    names = colon == std::string_view::npos ? std::string_view{} : names.substr(colon + 1);
    if (name.empty()) name = std::to_string(i);
    const int descriptor = kFirstDescriptor + i;
    ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
    ::fcntl(descriptor, F_SETFL, ::fcntl(descriptor, F_GETFL) | O_NONBLOCK);
    descriptors.insert_or_assign(std::move(name), os::Fd{descriptor});
  }
  return descriptors;
}

void notify_supervisor(std::string_view state) {
  const std::string_view path = environment("NOTIFY_SOCKET");
  sockaddr_un address{};
  if (path.empty() || path.size() >= sizeof address.sun_path) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.data(), path.size());
  if (path.front() == '@') address.sun_path[0] = '\0';  // An abstract socket.
  const os::Fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
  ::sendto(socket.get(), state.data(), state.size(), MSG_NOSIGNAL,
           reinterpret_cast<const sockaddr*>(&address), bytes);
}

}  // namespace weir::app
