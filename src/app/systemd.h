#pragma once
// The two things systemd and its like agree on with a service: descriptors that are already open,
// and a word when it is ready. Both work without systemd: they are environment variables. Source:
// sd_listen_fds(3), sd_notify(3).

#include <map>
#include <string>
#include <string_view>

#include "os/fd.h"

namespace weir::app {

// The descriptors that were passed to this process, by their names in LISTEN_FDNAMES (without
// names: "0", "1", …). Takes them over: call once, before any other descriptor is opened.
std::map<std::string, os::Fd> inherited_descriptors();

// Sends `state` ("READY=1", "STOPPING=1") to NOTIFY_SOCKET, if there is one.
void notify_supervisor(std::string_view state);

}  // namespace weir::app
